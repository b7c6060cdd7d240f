"""Small formulas shared by dynamics and agents; tensors in, tensors out."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

LOG_2 = math.log(2.0)
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@torch.no_grad()
def polyak_(target: Iterable[Tensor], online: Iterable[Tensor], tau: float) -> None:
    """target <- (1 - tau) target + tau online, in place over all tensors at once (Lillicrap et al. 2016)."""
    torch._foreach_lerp_(list(target), list(online), tau)


def all_finite(x: Tensor) -> Tensor:
    """Which rows of x [..., D] hold neither NaN nor an infinity, [...] bool: 0 * x sums to 0 for no others.

    x.isfinite().all(-1) in two passes in place of five.
    """
    return (0 * x).sum(-1) == 0


def gaussian_log_prob(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log N(x; mean, exp(log_std)^2) elementwise."""
    return -0.5 * ((x - mean) * torch.exp(-log_std)).square() - log_std - HALF_LOG_2PI


def tanh_log_det(u: Tensor) -> Tensor:
    """log |d tanh(u) / du| = log(1 - tanh(u)^2), elementwise (Haarnoja et al. 2018, app. C).

    Written as 2 (log 2 - u - softplus(-2u)): finite for any u, where 1 - tanh^2 would round to zero.
    """
    return 2.0 * (LOG_2 - u - functional.softplus(-2.0 * u))


def soft_clamp(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x between low and high with a gradient everywhere (PETS, Chua et al. 2018, app. A.1).

    high - softplus(high - x), then low + softplus(. - low).
    """
    x = high - functional.softplus(high - x)
    return low + functional.softplus(x - low)


def squashed_sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Action tanh(mean + exp(log_std) noise) [..., A] and its log-probability [...].

    SAC (Haarnoja et al. 2018, app. C); noise [..., A] is standard normal.
    """
    u = mean + torch.exp(log_std) * noise
    # (u - mean) / std is the noise itself: no division, no cancellation.
    log_prob = -0.5 * noise.square() - log_std - HALF_LOG_2PI - tanh_log_det(u)
    return torch.tanh(u), log_prob.sum(-1)


def squashed_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-probability [...] of action [..., A], inside (-1, 1), where `squashed_sample` draws it."""
    u = torch.atanh(action)
    return (gaussian_log_prob(u, mean, log_std) - tanh_log_det(u)).sum(-1)
