"""A squashed Gaussian policy as a density over actions: what guides samples of a diffusion model."""

import torch
from torch import Tensor

from mbrl.core.maths import gaussian_log_prob, tanh_log_det

BOUND = 1 - 1e-6
"""Actions count as at most this far from 0: the density of a squashed Gaussian has no value on its bounds."""
NODES = 64
"""Quantiles that moments are taken over."""
LEAST_STD = 1e-4
"""So that a saturated policy stays a density."""


def log_density(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of tanh(N(mean, exp(log_std)^2)) elementwise, differentiable in action and finite for any.

    Beyond +-BOUND value and gradient are those at +-BOUND, so that the gradient still leads inwards.
    """
    inside = action + (action.clamp(-BOUND, BOUND) - action).detach()
    u = torch.atanh(inside)
    return gaussian_log_prob(u, mean, log_std) - tanh_log_det(u)


def moments(mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std of tanh(N(mean, exp(log_std)^2)) elementwise, by quadrature.

    Over NODES equally likely quantiles, scaled to unit variance: right to first order for a narrow policy, and for
    a wide one, which is nearly two-valued, to about 1 / NODES. No std is below LEAST_STD.
    """
    quantile = (torch.arange(NODES, device=mean.device, dtype=mean.dtype) + 0.5) / NODES
    z = torch.special.ndtri(quantile)
    z = z / z.square().mean().sqrt()
    action = torch.tanh(mean.unsqueeze(-1) + log_std.exp().unsqueeze(-1) * z)
    return action.mean(dim=-1), action.std(dim=-1, correction=0).clamp_min(LEAST_STD)
