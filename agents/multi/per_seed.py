"""Hyper-parameters one a seed, beside values one a seed and agent."""

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.per_member import PerMember, listed, per_member


def per_seed(name: str, value: PerMember, members: int, device: torch.device | str = "cpu") -> float | Tensor:
    """A float where all seeds agree, else [S, 1], to multiply [S, N]. Raises ConfigError for another length."""
    found = per_member(name, value, members, device)
    return found.unsqueeze(-1) if isinstance(found, Tensor) else found


def at_least(least: float, members: int, **values: PerMember) -> None:
    """Raises ConfigError, naming the option, for a value below `least`, and for more or fewer than seeds."""
    for name, value in values.items():
        if not min(listed(name, value, members)) >= least:
            raise ConfigError(f"{name}={value}: must be at least {least}")
