"""Whose a tensor of a stack's state is, by one rule: what leads with the stack's length is its members'."""

from collections.abc import Mapping

from torch import Tensor


def is_stacked(x: Tensor, size: int) -> bool:
    """Whether x holds a slice for each of `size` members: its leading axis is that long. All else is shared."""
    return x.dim() > 0 and x.shape[0] == size


def stacked(flat: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Those tensors of a flattened state (mbrl.core.checkpoint.flatten) that members own slices of."""
    return {name: x for name, x in flat.items() if is_stacked(x, size)}
