"""Hyper-parameters that may differ between the members of a stack."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError

PerMember = float | Sequence[float]
"""One value for all members of a stack, or one each."""


def listed(name: str, value: PerMember, members: int) -> tuple[float, ...]:
    """The value of every member. Raises ConfigError for a sequence of another length."""
    if not isinstance(value, Sequence):
        return (float(value),) * members
    if len(value) != members:
        raise ConfigError(f"{name}: {len(value)} values for a stack of {members}; give one, or one a member")
    return tuple(float(v) for v in value)


def per_member(
    name: str, value: PerMember, members: int, device: torch.device | str = "cpu"
) -> float | Tensor:
    """A float where all members agree, else a tensor [S]: both multiply a tensor [S] to the same bits.

    Raises ConfigError for a sequence of another length.
    """
    values = listed(name, value, members)
    return values[0] if len(set(values)) == 1 else torch.tensor(values, device=device)
