"""Measurements as what JSON can hold: lists with the seed first, null where there is no number."""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

UNPUBLISHED = ("per_row", "known", "scatter")
"""Fields that pictures and other measurements are made from, too long to publish."""


def as_json(x: Any) -> Any:
    """Dataclasses and dicts by name, tensors and tuples as lists; a number that is not finite becomes None."""
    if is_dataclass(x):
        return {f.name: as_json(getattr(x, f.name)) for f in fields(x) if f.name not in UNPUBLISHED}
    if isinstance(x, dict):
        return {str(name): as_json(value) for name, value in x.items()}
    if isinstance(x, Tensor):
        return as_json(x.tolist())
    if isinstance(x, list | tuple):
        return [as_json(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def take_seeds(x: Any, rows: Sequence[int]) -> Any:
    """The same measurements of some of the stacked seeds: tensors and tuples have S first, lists hold such."""
    if is_dataclass(x):
        return replace(x, **{f.name: take_seeds(getattr(x, f.name), rows) for f in fields(x)})
    if isinstance(x, dict):
        return {name: take_seeds(value, rows) for name, value in x.items()}
    if isinstance(x, Tensor):
        return x[list(rows)]
    if isinstance(x, tuple):
        return tuple(x[i] for i in rows)
    return [take_seeds(value, rows) for value in x] if isinstance(x, list) else x
