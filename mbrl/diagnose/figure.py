"""Means with their standard errors, place by place along a rollout: what every measurement here returns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.run.probe import mean_where


@dataclass(frozen=True)
class Figure:
    """A mean over rows at each of T places (rollout steps, or depths), a seed each.

    mean, error, count [S, T] float64. error: the standard error of the mean, std / sqrt(count) with the unbiased
    std. NaN where there are too few rows: none for a mean, one for an error.
    """

    mean: Tensor
    error: Tensor
    count: Tensor

    def __len__(self) -> int:
        """T."""
        return self.mean.shape[-1]


def over(x: Sequence[Tensor], where: Sequence[Tensor]) -> Figure:
    """The figure of T blocks x[t] [S, B_t], each over its rows in where[t] [S, B_t] bool."""
    found = [_moments(values.double(), mask) for values, mask in zip(x, where, strict=True)]
    return Figure(*(torch.stack(column, dim=-1) for column in zip(*found, strict=True)))


def by_step(x: Tensor, where: Tensor, step: Tensor, horizon: int) -> Figure:
    """The figure of x [S, B] at rollout steps 1..horizon: rows in `where` whose `step` [S, B] is that one."""
    steps = range(1, horizon + 1)
    return over([x] * horizon, [where & (step == t) for t in steps])


def _moments(x: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard error and number [S] of the chosen rows of x [S, B]."""
    mean, count = mean_where(x, where), where.sum(-1).double()
    squares = torch.where(where, (x - mean.unsqueeze(-1)).square(), 0.0).sum(-1)
    # 0 / 0 for one row: its spread is not known.
    return mean, (squares / (count - 1).clamp_min(0) / count).sqrt(), count
