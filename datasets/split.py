"""Rows held out from training, a split of its own for each stacked seed."""

from torch import Tensor

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.seeds import Streams


def holdout_split(n: int, *, fraction: float, maximum: int, streams: Streams) -> tuple[Tensor, Tensor]:
    """Disjoint row indices (train [S, n - h], holdout [S, h]) that together are 0..n-1.

    h = min(int(fraction * n), maximum), but at least 1 (MBPO's official code: a fifth, at most 1000 rows).
    Raises ConfigError for a fraction outside (0, 1) or maximum < 1, DataError for n < 2.
    """
    if not 0 < fraction < 1 or maximum < 1:
        raise ConfigError(
            f"holdout_fraction={fraction} must lie in (0, 1) and holdout_max={maximum} be at least 1"
        )
    if n < 2:
        raise DataError(f"{n} rows cannot be split into training and hold-out rows; at least 2 are needed")
    held = max(1, min(int(fraction * n), maximum))
    order = streams.permutation(n)
    return order[:, held:], order[:, :held]
