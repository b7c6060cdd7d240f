"""Does a model's uncertainty rise where the critics disagree? (Sims et al. 2024, appendix.)"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions

FLAT = 1e-6
"""A range below this share of the largest value is rounding in float32, not variation."""


@runtime_checkable
class Doubting(Protocol):
    """An agent with an uncertainty of its own, such as MOBILE's Bellman inconsistency."""

    def uncertainty(self, batch: Transitions, streams: Streams) -> Tensor:
        """u [S, B] at (obs, action) of every row."""


@dataclass(frozen=True)
class Correlation:
    """One uncertainty measure against the critics' spread at the same (s, a), [S] float64 each.

    pearson: with the standard deviation over critics; pearson_variance: with its square; spearman: of ranks, the
    same for both. NaN where `reason` [S] says why, else that is "".
    """

    pearson: Tensor
    pearson_variance: Tensor
    spearman: Tensor
    reason: tuple[str, ...]


def correlations(uncertainty: Mapping[str, Tensor], spread: Tensor, where: Tensor) -> dict[str, Correlation]:
    """Every measure [S, B] against spread [S, B], over the rows in `where` [S, B] bool."""
    return {name: correlate(u, spread, where) for name, u in uncertainty.items()}


def correlate(u: Tensor, spread: Tensor, where: Tensor) -> Correlation:
    """Pearson's and Spearman's coefficients of u with spread, both [S, B], for each seed's rows in `where`."""
    rows = zip(u.double().cpu(), spread.double().cpu(), where.cpu(), strict=True)
    found = [_one(x[mask].numpy(), y[mask].numpy()) for x, y, mask in rows]
    *numbers, reason = zip(*found, strict=True)
    return Correlation(*(torch.tensor(x, dtype=torch.float64) for x in numbers), reason=reason)


def _one(u: np.ndarray, spread: np.ndarray) -> tuple[float, float, float, str]:
    nan = float("nan")
    if len(u) < 3:
        return nan, nan, nan, f"{len(u)} rows are too few"
    for name, x in (("the measure", u), ("the critics' spread", spread)):
        if not np.isfinite(x).all():
            return nan, nan, nan, f"{name} is not finite at every row"
        if np.ptp(x) <= FLAT * np.abs(x).max():
            return nan, nan, nan, f"{name} is constant ({x[0]:.3g}): nothing to correlate"
    linear = [float(pearsonr(u, y).statistic) for y in (spread, spread**2)]
    return linear[0], linear[1], float(spearmanr(u, spread).statistic), ""
