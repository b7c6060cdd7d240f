"""Conservative Q-learning's regulariser, CQL(H) (Kumar et al. 2020, arXiv 2006.04779), in pure functions."""

import math

import torch
from torch import Tensor

from mbrl.core.maths import LOG_2


def soft_maximum(q: Tensor, log_density: Tensor, temperature: float) -> Tensor:
    """T log int exp(Q(s, a) / T) da, estimated from R actions, shape [S, N, B].

    q [S, N, R, B]: Q_i(s, a_j), all actions of a state on the R axis; log_density [S, R, B]: log of what a_j was
    drawn from. T log( 1/R sum_j exp(Q_j / T) / density_j ): importance sampling, so that it matters little how
    the actions were drawn (Kumar et al. 2020, app. F). The official code leaves out the constant T log R, and
    divides log_density by T as well, which is the same at T = 1.
    """
    if q.shape[:1] + q.shape[2:] != log_density.shape:
        raise ValueError(f"q [S, N, R, B] {tuple(q.shape)} against log_density {tuple(log_density.shape)}")
    weighted = q / temperature - log_density.unsqueeze(1)
    return temperature * (weighted.logsumexp(dim=-2) - math.log(q.shape[-2]))


def uniform_log_density(action_dim: int) -> float:
    """A log 1/2, the log of the uniform density on [-1, 1]^A."""
    return -action_dim * LOG_2


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x [S, N, B] over the rows of mask [S, B] bool, shape [S, N]; NaN for a seed without any."""
    mask = mask.unsqueeze(1)
    return torch.where(mask, x, 0.0).sum(dim=-1) / mask.sum(dim=-1)


def conservative_gap(soft_max: Tensor, q_data: Tensor, states: Tensor, real: Tensor) -> Tensor:
    """sum_i ( E_{s ~ states}[ soft maximum of Q_i(s, .) ] - E_{(s, a) ~ real}[ Q_i(s, a) ] ), shape [S].

    COMBO (Yu et al. 2021, arXiv 2102.08363, eq. 2): soft_max [S, N, B] on the rows of states [S, B] bool, q_data
    [S, N, B] at the batch's own actions on those of real [S, B] bool. NaN where a batch has no row of either.
    """
    return (masked_mean(soft_max, states) - masked_mean(q_data, real)).sum(dim=-1)
