"""Treatments of the edge of reach: what a target bootstraps from at the successor of the last rollout step.

States that only the last of k steps can reach enter targets and never updates (Sims et al. 2024, sec. 4). Each
treatment changes the bootstrap value there and nowhere else, so a run with it shows what those states do.
Leaving out the last step's rows is the third treatment; it belongs to the source (`drop_last`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

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
class ConstantPenalty:
    """V(s') - c at the edge, the same c >= 0 for every state there (ours, to compare with)."""

    cost: float
    horizon: int

    def __call__(self, policy: Policy, batch: Transitions, value: Tensor, streams: Streams) -> Tensor:
        """value [S, B] with the rows at the edge lowered."""
        return torch.where(at_edge(batch, self.horizon), value - self.cost, value)
