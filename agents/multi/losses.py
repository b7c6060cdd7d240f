"""The losses that several agents add, as pure functions: one value a seed and agent, [S, N].

What they share with a single agent's (soft value, regression, diversity, ..) is mbrl.agents.losses, whose functions
take any leading axes.
"""

import math

import torch
from torch import Tensor

from mbrl.agents.conservative import soft_maximum
from mbrl.core.maths import HALF_LOG_2PI


def masked_square(action: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """E[ |a_i - a'_i|^2 ], mean over batch and real actions, [S, N]; both [S, B, N, A], mask [N, A] bool."""
    squared = torch.where(mask, (action - other).square(), 0.0)
    return squared.sum(-1).mean(dim=-2) / mask.sum(-1)


def td3_bc(value: Tensor, cloning: Tensor, alpha: float | Tensor, bc_weight: float | Tensor) -> Tensor:
    """-lambda E[ Q_i ] + w |pi_i - a_i|^2, lambda = alpha / E|Q_i|, [S, N]; value [S, N, B], cloning [S, N].

    TD3+BC (Fujimoto and Gu 2021, arXiv 2106.06860), one lambda an agent, without a gradient.
    """
    scale = alpha / value.detach().abs().mean(dim=-1).clamp_min(1e-8)
    return bc_weight * cloning - scale * value.mean(dim=-1)


def soft_values(q: Tensor, entropy_cost: Tensor) -> Tensor:
    """min_k Q_ik(s, a) - cost, [S, N, B], for q [S, N, K, B] and cost [S, N, B] or [S, 1, B].

    cost: alpha_i log pi_i of the agent itself, or the sum of all agents' (mbrl.agents.multi.views.ENTROPY).
    """
    return q.amin(dim=-2) - entropy_cost


def conservative_gap(soft_max: Tensor, q_data: Tensor) -> Tensor:
    """sum_k ( E[ soft maximum of Q_ik(s, .) ] - E[ Q_ik(s, a) ] ), [S, N], for both [S, N, K, B].

    CQL(H) (Kumar et al. 2020, arXiv 2006.04779, eq. 4), over the batch's own states and actions.
    """
    return (soft_max - q_data).mean(dim=-1).sum(dim=-1)


def soft_maximum_own(q: Tensor, log_density: Tensor, temperature: float) -> Tensor:
    """T log int exp(Q_ik(s, a) / T) da_i, [S, N, K, B], for q [S, N, K, R, B], log_density [S, R, B, N].

    mbrl.agents.conservative.soft_maximum an agent, over its own actions a_i alone.
    """
    density = log_density.permute(0, 3, 1, 2)
    return soft_maximum(q.flatten(0, 1), density.flatten(0, 1), temperature).unflatten(0, q.shape[:2])


def truncated_noise(mean: Tensor, std: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Draws of N(mean, std^2) cut to [-1, 1], and the log of their density, elementwise; by inverse transform.

    mean within [-1, 1], uniform in [0, 1). A clipped Gaussian would pile up at the bounds, where the Gaussian's
    density is not its own, and the importance weights of CQL would be wrong.
    """
    low, high = (torch.special.ndtr((bound - mean) / std) for bound in (-1.0, 1.0))
    above = torch.special.ndtr((mean - 1.0) / std)
    uniform = uniform.clamp_min(2.0**-25)
    left = low + (high - low) * uniform
    right = above + (high - low) * (1.0 - uniform)
    # From the nearer tail: next to 1 a probability is rounded so far that its quantile could be any number.
    z = torch.where(left < 0.5, torch.special.ndtri(left), -torch.special.ndtri(right))
    action = (mean + std * z).clamp(-1.0, 1.0)
    log_density = (
        -0.5 * ((action - mean) / std).square() - HALF_LOG_2PI - math.log(std) - torch.log(high - low)
    )
    return action, log_density


def omar(value: Tensor, rectification: Tensor, coefficient: float | Tensor) -> Tensor:
    """c |pi_i - a^_i|^2 - (1 - c) E[ Q_i(s, pi_i) ], [S, N]; value [S, N, B], rectification [S, N].

    OMAR (Pan et al. 2022, arXiv 2111.11188); a^_i: the sampler's best action, a constant.
    """
    return coefficient * rectification - (1 - coefficient) * value.mean(dim=-1)
