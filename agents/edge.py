"""Treatments of the edge of reach: what a target bootstraps from at the successor of the last rollout step.

States that only the last of k steps can reach enter targets and never updates (Sims et al. 2024, sec. 4). Each
treatment changes the bootstrap value there and nowhere else, so a run with it shows what those states do.
Leaving out the last step's rows is the third treatment; it belongs to the source (`drop_last`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.core.errors import MismatchError
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy, Transitions, ValueOracle


def at_edge(batch: Transitions, horizon: int) -> Tensor:
    """[S, B] bool: rows of the last rollout step whose target bootstraps."""
    return (batch.step == horizon) & ~batch.terminal


@dataclass(frozen=True)
class OraclePatch:
    """The oracle's value in place of the critics' (Sims et al. 2024, sec. 5.3): V(s') = V_true(s') at the edge."""

    oracle: ValueOracle
    horizon: int

    def __call__(self, policy: Policy, batch: Transitions, value: Tensor, streams: Streams) -> Tensor:
        """value [S, B] with the rows at the edge replaced."""
        where = at_edge(batch, self.horizon)
        return torch.where(where, self.oracle.value(policy, batch, where, streams).to(value.dtype), value)


@dataclass(frozen=True)
class RecordedPatch:
    """The oracle's value as it was when the row was drawn (`next_value`), so for the policy of that refresh.

    Far cheaper than an oracle at every update, and late by at most the age of the oldest rows kept.
    """

    horizon: int

    def __call__(self, policy: Policy, batch: Transitions, value: Tensor, streams: Streams) -> Tensor:
        """value [S, B], replaced at the edge where one was recorded. Raises MismatchError if the rows have none."""
        if batch.next_value is None:
            raise MismatchError("rows without next_value: give the source an oracle that records it")
        known = at_edge(batch, self.horizon) & batch.next_value.isfinite()
        return torch.where(known, batch.next_value.to(value.dtype), value)


class ConstantPenalty:
    """V(s') - c at the edge, the same c >= 0 for every state there (ours, to compare with)."""

    def __init__(self, cost: PerMember, horizon: int, *, device: torch.device | str = "cpu") -> None:
        """cost: c, one or one a seed; device: of the targets."""
        self.horizon = horizon
        # A column for a batch of rows; made here, since a captured graph cannot take it from the host.
        self.cost = torch.tensor(cost, device=device).unsqueeze(-1) if isinstance(cost, Sequence) else cost

    def __call__(self, policy: Policy, batch: Transitions, value: Tensor, streams: Streams) -> Tensor:
        """value [S, B] with the rows at the edge lowered."""
        return torch.where(at_edge(batch, self.horizon), value - self.cost, value)
