"""The formulas of EDM (Karras, Aittala, Aila and Laine 2022, arXiv 2206.00364), one function each.

sigma is the noise level, sd the data's own standard deviation (`sigma_data` there); D is the denoiser and F the
network inside it: D(x; sigma) = c_skip x + c_out F(c_in x; c_noise). All are elementwise.
"""

import math

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError

P_MEAN, P_STD = -1.2, 1.2
"""Mean and deviation of ln sigma in training (table 1)."""


def c_skip(sigma: Tensor, sd: float) -> Tensor:
    """sd^2 / (sigma^2 + sd^2) (table 1): also d D / d x of the exact denoiser of N(m, sd^2)."""
    return sd**2 / (sigma**2 + sd**2)


def c_out(sigma: Tensor, sd: float) -> Tensor:
    """sigma sd / sqrt(sigma^2 + sd^2) (table 1)."""
    return sigma * sd / (sigma**2 + sd**2) ** 0.5


def c_in(sigma: Tensor, sd: float) -> Tensor:
    """1 / sqrt(sigma^2 + sd^2) (table 1): the network's input has unit variance."""
    return 1 / (sigma**2 + sd**2) ** 0.5


def c_noise(sigma: Tensor) -> Tensor:
    """ln(sigma) / 4 (table 1): what the network is told of the noise level."""
    return torch.log(sigma) / 4


def loss_weight(sigma: Tensor, sd: float) -> Tensor:
    """(sigma^2 + sd^2) / (sigma sd)^2 (table 1): equal weight on F's error at every noise level."""
    return (sigma**2 + sd**2) / (sigma * sd) ** 2


def training_sigma(normal: Tensor) -> Tensor:
    """exp(P_MEAN + P_STD normal): noise levels of a training batch from standard normal numbers (table 1)."""
    return torch.exp(P_MEAN + P_STD * normal)


def score(x: Tensor, denoised: Tensor, sigma: Tensor | float) -> Tensor:
    """grad log p(x; sigma) = (D(x; sigma) - x) / sigma^2 (eq. 3)."""
    return (denoised - x) / sigma**2


def sigma_schedule(steps: int, *, sigma_min: float, sigma_max: float, rho: float) -> list[float]:
    """Noise levels of a sampler, from sigma_max down to sigma_min and last 0: steps + 1 numbers (eq. 5).

    sigma_i = (max^(1/rho) + i / (steps - 1) (min^(1/rho) - max^(1/rho)))^rho. Raises ConfigError for fewer than
    2 steps, levels out of order, or rho <= 0.
    """
    if steps < 2 or not 0 < sigma_min < sigma_max < math.inf or rho <= 0:
        raise ConfigError(
            f"sampler: need steps >= 2, 0 < sigma_min < sigma_max and rho > 0, got steps={steps}, "
            f"sigma_min={sigma_min}, sigma_max={sigma_max}, rho={rho}"
        )
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [(high + i / (steps - 1) * (low - high)) ** rho for i in range(steps)] + [0.0]


def churned_sigma(sigma: float, churn: float, steps: int) -> float:
    """sigma (1 + gamma), gamma = min(churn / steps, sqrt(2) - 1): the level that churn raises to (alg. 2, l. 4)."""
    return sigma * (1 + min(churn / steps, math.sqrt(2) - 1))
