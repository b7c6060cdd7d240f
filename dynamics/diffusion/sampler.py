"""EDM's sampler (Karras et al. 2022, algorithm 2): from noise to segments, deterministic given the noise."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.progress import progress as progress_bar
from mbrl.core.seeds import Streams
from mbrl.dynamics.diffusion.edm import churned_sigma, sigma_schedule

Denoise = Callable[[Tensor, float], Tensor]
"""(x [S, n, T + 1, D], sigma) -> D(x; sigma) of the same shape; sigma is a number the host knows."""


@dataclass(frozen=True)
class Sampler:
    """Noise levels and the order of the steps between them; the defaults are EDM's but for `steps`.

    steps: noise levels (eq. 5 with sigma_min, sigma_max, rho); 24 spread Gaussian samples 2 % too far, 16 6 %, 12
    11 %. order: 1 Euler, 2 Heun.
    churn (S_churn), churn_min, churn_max (S_tmin, S_tmax), churn_noise (S_noise): fresh noise added before a
    step, none by default. chunk: most segments a seed that the denoiser sees at a time, which bounds memory and
    leaves the samples as they are. Raises ConfigError for impossible values.
    """

    steps: int = 24
    order: int = 2
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = float("inf")
    churn_noise: float = 1.0
    chunk: int = 4096

    def __post_init__(self) -> None:
        self.sigmas()
        if (
            self.order not in (1, 2)
            or self.chunk < 1
            or min(self.churn, self.churn_min, self.churn_noise) < 0
        ):
            raise ConfigError(
                f"sampler: need order 1 or 2, chunk >= 1 and churn, churn_min, churn_noise >= 0, got order="
                f"{self.order}, chunk={self.chunk}, churn={self.churn}, {self.churn_min}, {self.churn_noise}"
            )

    def sigmas(self) -> list[float]:
        """steps + 1 noise levels, the last 0."""
        return sigma_schedule(self.steps, sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho)

    def evaluations(self) -> int:
        """Calls of the denoiser a sample takes: the step to 0 is Euler's in both orders."""
        return self.steps if self.order == 1 else 2 * self.steps - 1

    def churned(self, sigma: float) -> float:
        """The level churn raises `sigma` to; sigma itself where there is no churn."""
        if self.churn and self.churn_min <= sigma <= self.churn_max:
            return churned_sigma(sigma, self.churn, self.steps)
        return sigma


@torch.no_grad()
def sample(
    denoise: Denoise,
    n: int,
    mask: Tensor,
    streams: Streams,
    sampler: Sampler,
    *,
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> Tensor:
    """n segments a seed [S, n, T + 1, D] in the denoiser's units; 0 where mask [T + 1, D] is False.

    All noise comes from the streams in one order: seed s's samples do not depend on the chunks, nor on the other
    seeds, but for how products of other sizes round. Shapes are fixed, and no step waits for the device.
    """
    sigmas = sampler.sigmas()
    x = sigmas[0] * streams.randn(n, *mask.shape, dtype=dtype) * mask
    with progress_bar(n * len(streams) * (len(sigmas) - 1), "sampling", enabled=progress, unit="step") as bar:
        for sigma, after in itertools.pairwise(sigmas):
            level = sampler.churned(sigma)
            if level > sigma:
                noise = sampler.churn_noise * streams.randn(n, *mask.shape, dtype=dtype) * mask
                x = x + (level**2 - sigma**2) ** 0.5 * noise
            parts = []
            for part in x.split(sampler.chunk, dim=1):
                parts.append(step(denoise, part, level, after, sampler.order))
                bar.update(part.shape[0] * part.shape[1])
            x = torch.cat(parts, dim=1)
    return x


def step(denoise: Denoise, x: Tensor, sigma: float, after: float, order: int) -> Tensor:
    """From level `sigma` to `after` along dx/dsigma = (x - D) / sigma (alg. 2, l. 7-11).

    x is the churned sample, where there is churn: both the slope and the step start from it.
    """
    slope = (x - denoise(x, sigma)) / sigma
    euler = x + (after - sigma) * slope
    if order == 1 or after == 0:
        return euler
    second = (euler - denoise(euler, after)) / after
    return x + (after - sigma) * 0.5 * (slope + second)
