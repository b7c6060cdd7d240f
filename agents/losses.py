"""The losses of the SAC family as pure functions: mean over the batch, sum over critics, one value a seed."""

import torch
from torch import Tensor


def soft_value(q: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """V(s) = min_i Q_i(s, a) - alpha log pi(a|s), shape [S, B], for q [S, N, B], log_prob [S, B], alpha [S].

    SAC (Haarnoja et al. 2018, eq. 3) with the minimum over N critics of SAC-N (An et al. 2021, eq. 2).
    """
    return q.amin(dim=-2) - alpha.unsqueeze(-1) * log_prob


def bellman_target(reward: Tensor, terminal: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """y = r + gamma (1 - terminal) V(s'), shape [S, B]; reward, next_value [S, B], terminal [S, B] bool."""
    # where, not a product: an infinite value beyond a terminal must not become NaN.
    return reward + gamma * torch.where(terminal, torch.zeros_like(next_value), next_value)


def critic_regression(q: Tensor, target: Tensor) -> Tensor:
    """sum_i E[(Q_i(s, a) - y)^2], shape [S], for q [S, N, B] and target [S, B]."""
    return (q - target.unsqueeze(-2)).square().mean(dim=-1).sum(dim=-1)


def diversity(gradients: Tensor) -> Tensor:
    """E[ 1/(N-1) sum_{i != j} < g_i/|g_i|, g_j/|g_j| > ], shape [S], g_i = grad_a Q_i(s, a) [S, N, B, A].

    EDAC (An et al. 2021, eq. 4). The double sum is |sum_i u_i|^2 - sum_i |u_i|^2 for unit vectors u_i, linear
    in N. A zero gradient has no direction: its u is 0, with a zero derivative, not NaN.
    """
    members = gradients.shape[-3]
    if members < 2:
        raise ValueError(f"diversity compares critics with each other and needs at least 2, got {members}")
    squared = gradients.square().sum(-1, keepdim=True)
    unit = gradients * squared.masked_fill(squared < 1e-24, torch.inf).rsqrt()
    pairs = unit.sum(dim=-3).square().sum(-1) - unit.square().sum(-1).sum(dim=-2)
    return pairs.mean(dim=-1) / (members - 1)


def actor_objective(log_prob: Tensor, least: Tensor, alpha: Tensor) -> Tensor:
    """E[ alpha log pi(a|s) - min_i Q_i(s, a) ], shape [S], for log_prob and least = min_i Q_i [S, B], alpha [S].

    SAC (Haarnoja et al. 2018, eq. 7) with the minimum over N critics (An et al. 2021).
    """
    return (alpha.unsqueeze(-1) * log_prob - least).mean(dim=-1)


def temperature_loss(log_alpha: Tensor, log_prob: Tensor, target_entropy: float | Tensor) -> Tensor:
    """-log alpha * E[ log pi(a|s) + target entropy ], shape [S]; log_prob [S, B] is treated as a constant.

    target_entropy: one, or [S].
    Haarnoja et al. 2018 (SAC algorithms and applications, eq. 18), in log alpha as EDAC and RAVL have it.
    """
    if isinstance(target_entropy, Tensor):
        target_entropy = target_entropy.unsqueeze(-1)
    return -log_alpha * (log_prob.detach() + target_entropy).mean(dim=-1)


def behaviour_cloning(action: Tensor, data_action: Tensor) -> Tensor:
    """E[ |pi(s) - a|^2 ], mean over batch and action dims, shape [S]; both [S, B, A]."""
    return (action - data_action).square().mean(dim=(-1, -2))
