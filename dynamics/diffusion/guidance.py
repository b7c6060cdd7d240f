"""Leading a diffusion model's samples by a policy: towards p(tau) * prod_t prod_i pi_i(a^i_t | o^i_t)^lambda.

A guide says by how much the denoised estimate's actions move: sigma^2 times what it adds to the score (eq. 3 of
Karras et al. 2022: D = x + sigma^2 score). Only actions move; nothing goes through the observations. What each is
exact for, and its bias elsewhere, is in docs/diffusion_guidance.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.dynamics.diffusion.edm import c_skip


@dataclass(frozen=True)
class View:
    """What a guide may look at, at one noise level; actions in the model's units, [..., N, A].

    noisy, denoised: the actions of x and of D(x; sigma). score(action): gradient of sum log pi at these actions,
    in the same units. gaussian(): mean and std of the policy's Gaussian, likewise. pull(v): (dD/dx)^T v, actions
    to actions. All policies are asked at the denoised observations. sd: the data's deviation (sigma_data).
    """

    sigma: float
    sd: float
    noisy: Tensor
    denoised: Tensor
    score: Callable[[Tensor], Tensor]
    gaussian: Callable[[], tuple[Tensor, Tensor]]
    pull: Callable[[Tensor], Tensor]


Guidance = Callable[[View, float], Tensor]
"""(view, lambda) -> shift of the denoised actions; 0 at lambda = 0."""


def noisy(view: View, weight: float) -> Tensor:
    """sigma^2 lambda grad log pi(x): the policy's own score at the noisy sample (Jackson et al. 2024, eq. 9).

    Not the score of the noised policy: too steep as soon as sigma exceeds the policy's own width, and the sampler's
    steps then overshoot. Take a schedule that falls with sigma, or `normalise`.
    """
    return view.sigma**2 * weight * view.score(view.noisy)


def denoised(view: View, weight: float) -> Tensor:
    """sigma^2 lambda grad log pi(D), without the derivative of D (a switch in method and code of PGD)."""
    return view.sigma**2 * weight * view.score(view.denoised)


def noise_aware(view: View, weight: float) -> Tensor:
    """sigma^2 lambda (mu - x) / (s^2 + sigma^2): the score of the policy's Gaussian after noise.

    That of p alone and of pi alone are then right at every level; that of their product is not their sum.
    """
    mean, std = view.gaussian()
    return view.sigma**2 * weight * noised_score(view.noisy, mean, std, view.sigma)


def posterior(view: View, weight: float) -> Tensor:
    """V (mu - D) / (s^2 / lambda + V), V = sigma^2 sd^2 / (sigma^2 + sd^2): the policy as a measurement of x_0.

    x_0 given x is taken as N(D, V), as it is for data N(m, sd^2); pi^lambda is N(mu, s^2 / lambda). D then moves to
    the mean of the product of the two: exact for such data and a Gaussian policy. Pseudo-inverse guidance (Song
    et al. 2023, eq. 7) with J = V / sigma^2.
    """
    mean, std = view.gaussian()
    return conditioned(view.denoised, mean, std, posterior_variance(view.sigma, view.sd), weight)


def jacobian(view: View, weight: float) -> Tensor:
    """`posterior` with V = sigma^2 dD/dx, the denoiser's own, along the one direction mu - D of each segment.

    Right for Gaussian data of any deviation if mu - D is one of its principal axes. One backward pass more.
    """
    return solved(view, weight, iterations=1)


def conjugate(view: View, weight: float) -> Tensor:
    """The same with V a matrix, by 3 steps of conjugate gradients, each one more backward pass.

    Right for Gaussian data of any covariance of up to 3 distinct variances: knows how actions hang together.
    """
    return solved(view, weight, iterations=3)


BACKWARD = (jacobian, conjugate)
"""Guides that ask for `pull`."""

GUIDES: dict[str, Guidance] = {
    "noisy": noisy,
    "denoised": denoised,
    "noise_aware": noise_aware,
    "posterior": posterior,
    "jacobian": jacobian,
    "conjugate": conjugate,
}


def noised_score(x: Tensor, mean: Tensor, std: Tensor, sigma: float) -> Tensor:
    """(mu - x) / (s^2 + sigma^2): grad log N(x; mu, s^2 + sigma^2)."""
    return (mean - x) / (std**2 + sigma**2)


def posterior_variance(sigma: float, sd: float) -> float:
    """sigma^2 sd^2 / (sigma^2 + sd^2): variance of x_0 given x_0 + sigma z, for x_0 ~ N(m, sd^2)."""
    return sigma**2 * c_skip(sigma, sd)


def conditioned(estimate: Tensor, mean: Tensor, std: Tensor, variance: float, weight: float) -> Tensor:
    """lambda V (mu - D) / (s^2 + lambda V): from N(D, V)'s mean to that of N(D, V) * N(mu, s^2)^lambda."""
    return weight * variance * (mean - estimate) / (std**2 + weight * variance)


def solved(view: View, weight: float, *, iterations: int) -> Tensor:
    """lambda V (s^2 + lambda V)^-1 (mu - D), V = sigma^2 dD/dx, by conjugate gradients (Hestenes, Stiefel 1952).

    V is symmetric and not negative for an exact denoiser (it is the covariance of x_0 given x). For a learned one,
    curvatures below the least s^2 are taken for it, and no shift is longer than mu - D, as none would be.
    """
    mean, std = view.gaussian()
    residual = mean - view.denoised
    direction, square = residual, _dot(residual, residual)
    most = square
    floor = std.square().amin(dim=(-3, -2, -1), keepdim=True)
    shift = torch.zeros_like(residual)
    for left in reversed(range(iterations)):
        moved = weight * view.sigma**2 * view.pull(direction)
        product = std**2 * direction + moved
        curvature = torch.maximum(_dot(direction, product), floor * _dot(direction, direction))
        length = _ratio(square, curvature)
        shift = shift + length * moved
        if left:
            residual = residual - length * product
            before, square = square, _dot(residual, residual)
            direction = residual + _ratio(square, before) * direction
    return shift * _ratio(most, _dot(shift, shift)).clamp_max(1.0).sqrt()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(-3, -2, -1), keepdim=True)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0: a direction that has been dealt with needs no step."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)


def unit(gradient: Tensor) -> Tensor:
    """gradient / |gradient|, over the last three axes together; 0, and not NaN, where the gradient is 0."""
    norm = torch.linalg.vector_norm(gradient, dim=(-3, -2, -1), keepdim=True)
    return torch.where(norm > 0, gradient / norm.clamp_min(torch.finfo(norm.dtype).tiny), 0.0)


def constant(sigma: float, sigma_max: float) -> float:
    """1 at every level."""
    return 1.0


def ramp(sigma: float, sigma_max: float) -> float:
    """From 0 at sigma_max up to 1 as the noise goes: 1 - (sigma / sigma_max)^(1/7), linear in EDM's steps."""
    return 1.0 - min(sigma / sigma_max, 1.0) ** (1 / 7)


def damped(sigma: float, sigma_max: float) -> float:
    """1 / (1 + sigma^2): keeps sigma^2 lambda below lambda, so that un-noised scores stay within bounds."""
    return 1.0 / (1.0 + sigma**2)


def late(sigma: float, sigma_max: float) -> float:
    """1 from the level of the data's own deviation down, 0 above."""
    return float(sigma <= 1.0)


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "ramp": ramp,
    "damped": damped,
    "late": late,
}
"""Shares of lambda by noise level: (sigma, sigma_max) -> [0, 1]."""
