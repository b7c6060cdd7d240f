"""The model gradient of RAMBO as pure functions (Rigter et al. 2022, arXiv 2204.12581, Proposition 2).

    grad_phi V = E[ A(s, a, s', r) grad_phi log p_phi(s', r | s, a) ],   A = r + gamma V(s') - Q(s, a),

over rollouts of a policy in the model p_phi itself: a policy gradient with the model in the policy's place, and the
policy's own values as baseline.
"""

import math

import torch
from torch import Tensor

from mbrl.core.maths import gaussian_log_prob


def mixture_log_prob(x: Tensor, mean: Tensor, logvar: Tensor, elites: Tensor) -> Tensor:
    """log (1/K) sum_k N(x; mean_k, exp(logvar_k)), shape [..., B]: the density that rollouts are drawn from.

    x [..., B, D], mean and logvar [..., E, B, D], elites [..., K]. A sharp model's log-density lies far below the
    smallest exponent of any float, so the sum is one of exponents (logsumexp) and never of densities.
    """
    index = elites[..., None, None].expand(*elites.shape, *mean.shape[-2:])
    mean, logvar = mean.gather(-3, index), logvar.gather(-3, index)
    log_prob = gaussian_log_prob(x.unsqueeze(-3), mean, 0.5 * logvar).sum(-1)
    return log_prob.logsumexp(dim=-2) - math.log(elites.shape[-1])


def advantage(reward: Tensor, terminal: Tensor, next_value: Tensor, value: Tensor, gamma: float) -> Tensor:
    """A = r + gamma (1 - terminal) V(s') - Q(s, a), all [..., B]: an outcome's worth beyond the expected."""
    # where, not a product: an infinite value beyond a terminal must not become NaN.
    return reward + gamma * torch.where(terminal, torch.zeros_like(next_value), next_value) - value


def normalise(x: Tensor, alive: Tensor) -> Tensor:
    """(x - mean) / std over the alive rows of each batch [..., B], float64; 0 for void rows and for rows all alike.

    The deviation is the one over B, as in the official code. In float64 the mean of equal values differs from
    them by less than the smallest deviation counted (1e-8).
    """
    x = torch.where(alive, x, torch.zeros_like(x)).double()
    count = alive.sum(-1, keepdim=True).clamp_min(1)
    centred = torch.where(alive, x - x.sum(-1, keepdim=True) / count, 0.0)
    std = (centred.square().sum(-1, keepdim=True) / count).sqrt()
    return centred / std.clamp_min(1e-8)


def adversarial_loss(log_prob: Tensor, weight: Tensor, alive: Tensor, *, total: bool = False) -> Tensor:
    """E[ log p(s', r | s, a) * weight ] over the rows that are alive, shape [...]; all [..., B]; 0 if none is.

    Its gradient is the model gradient where weight is the (normalised) advantage: minimised, outcomes better than
    expected become rarer. total: the sum over rows in place of their mean.
    """
    product = torch.where(alive, log_prob * weight.to(log_prob.dtype), torch.zeros_like(log_prob)).sum(-1)
    return product if total else product / alive.sum(-1).clamp_min(1)
