"""Standardisation of network inputs, a mean and a std for each stacked seed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mbrl.core.errors import DataError

STD_FLOOR = 1e-2
"""Smallest divisor. With log-variances bounded at -10 a dynamics model still moves a column it believes
constant by exp(-5) = 0.007 a step: divided by 0.01 that stays below one unit, divided by the column's own std
it would explode."""


class Normaliser(nn.Module):
    """x -> (x - mean) / max(std, floor), columnwise; mean, std [*lead, 1, D]. The identity until `fit`.

    lead starts with S; its other axes, if any, are 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, lead: Sequence[int], dim: int, *, floor: float = STD_FLOOR) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("mean", torch.zeros(*lead, 1, dim))
        self.register_buffer("std", torch.ones(*lead, 1, dim))

    @torch.no_grad()
    def fit(self, x: Tensor, rows: Tensor | None = None) -> None:
        """Take mean and population std from x [N, D], for each stacked seed s from its rows [S, n] of x.

        Without `rows` every seed sees all of x. Sums in float64. Raises DataError for no rows, or naming the
        column that is not finite.
        """
        if x.dim() != 2 or x.shape[-1] != self.mean.shape[-1] or len(x) == 0:
            raise DataError(f"normaliser: need x [N >= 1, {self.mean.shape[-1]}], got {tuple(x.shape)}")
        parts = [x] if rows is None else [x[index] for index in rows]
        mean = torch.stack([p.double().mean(0) for p in parts])
        std = torch.stack([p.double().std(0, correction=0) for p in parts])
        if not (mean.isfinite() & std.isfinite()).all():
            column = int((~(mean.isfinite() & std.isfinite())).any(0).nonzero()[0])
            raise DataError(f"normaliser: column {column} is not finite or too large to square")
        shape = (len(parts), *[1] * (self.mean.dim() - 2), mean.shape[-1])
        self.mean.copy_(mean.view(shape))
        self.std.copy_(std.clamp_min(self.floor).view(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise x [*lead, B, D]."""
        return (x - self.mean) / self.std
