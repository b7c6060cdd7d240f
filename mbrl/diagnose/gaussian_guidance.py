"""What guided diffusion samples where everything is Gaussian: exact moments of every guide's own flow.

Data N(m, c^2) with its exact denoiser, policy N(mu, s^2), weight lambda. The target is their product
N(m, c^2) * N(mu, s^2)^lambda. Each guide's denoised estimate is a line in x, D = a(sigma) x + b(sigma), so that the
flow dx/dsigma = (x - D) / sigma is linear and its moments are two integrals. Data with correlated columns falls
apart along its principal axes, each with its own c, as long as s is the same for all actions; sd is what the guide
takes c for (1 in a model's units).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVELS = 200_001
"""Points of the quadrature, even in ln sigma: errors of 1e-6 (tests)."""


@dataclass(frozen=True)
class Gaussians:
    """Data N(mean, std^2), policy N(policy_mean, policy_std^2), weight lambda, and the guide's idea sd of std."""

    mean: float = 0.0
    std: float = 1.0
    policy_mean: float = 1.0
    policy_std: float = 0.5
    weight: float = 1.0
    sd: float = 1.0


Line = tuple[np.ndarray, np.ndarray]
"""(a, b) of D = a x + b at levels sigma."""


def unguided(case: Gaussians, sigma: np.ndarray) -> Line:
    """D = m + J (x - m), J = c^2 / (c^2 + sigma^2)."""
    gain = case.std**2 / (case.std**2 + sigma**2)
    return gain, (1 - gain) * case.mean


def noisy(case: Gaussians, sigma: np.ndarray) -> Line:
    """D + sigma^2 lambda (mu - x) / s^2."""
    (a, b), k = unguided(case, sigma), case.weight * sigma**2 / case.policy_std**2
    return a - k, b + k * case.policy_mean


def denoised(case: Gaussians, sigma: np.ndarray) -> Line:
    """D + sigma^2 lambda (mu - D) / s^2."""
    return _towards(case, unguided(case, sigma), case.weight * sigma**2 / case.policy_std**2)


def noise_aware(case: Gaussians, sigma: np.ndarray) -> Line:
    """D + sigma^2 lambda (mu - x) / (s^2 + sigma^2)."""
    (a, b), k = unguided(case, sigma), case.weight * sigma**2 / (case.policy_std**2 + sigma**2)
    return a - k, b + k * case.policy_mean


def posterior(case: Gaussians, sigma: np.ndarray) -> Line:
    """D + lambda V (mu - D) / (s^2 + lambda V), V = sigma^2 sd^2 / (sigma^2 + sd^2)."""
    variance = case.weight * sigma**2 * case.sd**2 / (sigma**2 + case.sd**2)
    return _towards(case, unguided(case, sigma), variance / (case.policy_std**2 + variance))


def jacobian(case: Gaussians, sigma: np.ndarray) -> Line:
    """D + lambda V (mu - D) / (s^2 + lambda V), V = sigma^2 J: the denoiser's own J, whatever sd."""
    variance = case.weight * sigma**2 * unguided(case, sigma)[0]
    return _towards(case, unguided(case, sigma), variance / (case.policy_std**2 + variance))


LINES: dict[str, Callable[[Gaussians, np.ndarray], Line]] = {
    "noisy": noisy,
    "denoised": denoised,
    "noise_aware": noise_aware,
    "posterior": posterior,
    "jacobian": jacobian,
    "conjugate": jacobian,
}
"""By the names of mbrl.dynamics.diffusion.guidance.GUIDES; `jacobian` itself is this for a single axis only."""


def product(case: Gaussians) -> tuple[float, float]:
    """Mean and std of N(m, c^2) * N(mu, s^2)^lambda: precisions add."""
    own, led = case.std**-2, case.weight * case.policy_std**-2
    return (own * case.mean + led * case.policy_mean) / (own + led), (own + led) ** -0.5


def flow(
    case: Gaussians,
    line: Callable[[Gaussians, np.ndarray], Line],
    *,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
) -> tuple[float, float]:
    """Mean and std of the samples of a guide's flow from N(0, sigma_max^2), solved without error in its steps.

    x(min) = F(max) x(max) + integral of F b / sigma, with F(sigma) = exp(-integral of (1 - a) / sigma from
    sigma_min up), and then D at sigma_min, which is EDM's last step.
    """
    time = np.linspace(np.log(sigma_min), np.log(sigma_max), LEVELS)
    a, b = line(case, np.exp(time))
    decay = np.exp(-_cumulative(1 - a, time))
    offset = _cumulative(decay * b, time)[-1]
    mean, std = offset, decay[-1] * sigma_max
    return float(a[0] * mean + b[0]), float(abs(a[0]) * std)


def _towards(case: Gaussians, line: Line, gain: np.ndarray) -> Line:
    """(1 - k) D + k mu."""
    return (1 - gain) * line[0], (1 - gain) * line[1] + gain * case.policy_mean


def _cumulative(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Integral of y from x[0] on, by trapezoids."""
    return np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])
