"""Rollouts of a policy cut by depth: depth d holds states d steps from the data, 0..k, and k is the edge of reach.

Training rolls out k steps, so states of depths 0..k-1 are inputs of updates and those of depth k are not: they
appear as successors alone. Here one more step is taken, so that the state at the edge, too, has an action, a value
and a return.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Policy, Prediction, Reconstructing, Tracing, Transitions
from mbrl.dynamics.uncertainty import MEASURES
from mbrl.run.rollout import rollout


@dataclass(frozen=True)
class Depths:
    """rows[d] [S, n, ...]: states at depth d, the policy's sampled action there, and what the model made of it.

    alive[d] [S, n] bool: other rows are void. index [S, n]: which rows of the data the rollouts start from.
    uncertainty: MEASURES of the model's prediction at every row, [S, n] a depth; empty where it makes none.
    """

    rows: tuple[Transitions, ...]
    alive: tuple[Tensor, ...]
    index: Tensor
    uncertainty: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        """k, the depth of the edge; 0 where nothing was rolled out."""
        return len(self.rows) - 1


def draw_starts(allowed: Tensor, n: int, seeds: Sequence[int]) -> Tensor:
    """n of the rows `allowed` [m] a seed, to start from, [S, n]; with replacement, as in training."""
    return allowed[Streams(seeds, "audit.starts", allowed.device).randint(len(allowed), n)]


def others(allowed: Tensor, index: Tensor, n: int, seeds: Sequence[int]) -> Tensor:
    """At most n a seed of the rows `allowed` [m] that are not in index [S, b], [S, <= n], without replacement.

    As many for every seed, whatever their repetitions in index: no more than m - b.
    """
    order = allowed[Streams(seeds, "audit.others", allowed.device).permutation(len(allowed))]
    count = max(0, min(n, len(allowed) - index.shape[-1]))
    return torch.stack([o[~torch.isin(o, i)][:count] for o, i in zip(order, index, strict=True)])


def roll(
    dynamics: Dynamics,
    policy: Policy,
    data: Transitions,
    index: Tensor,
    horizon: int,
    seeds: Sequence[int],
    purpose: str = "audit.rollout",
) -> Depths:
    """A rollout from each row index [S, n] of flat data, without any penalty, horizon + 1 steps each.

    Rows carry the simulator's state: the model's own where it has one, at depth 0 else the data's.
    """
    n = index.shape[-1]
    streams, keep = Streams(seeds, purpose, data.obs.device), isinstance(dynamics, Tracing)
    reader, starts = _Reader(), data[index]
    joined, alive = rollout(dynamics, policy, starts, horizon + 1, streams, reader, keep_state=keep)
    rows = [joined[:, d * n : (d + 1) * n] for d in range(horizon + 1)]
    if not keep:
        rows[0] = replace(rows[0], sim_state=starts.sim_state)
    found = {name: tuple(u) for name, u in reader.found.items() if len(u) == horizon + 1}
    return Depths(tuple(rows), alive.split(n, dim=-1), index, found)


def at_data(policy: Policy, data: Transitions, index: Tensor, seeds: Sequence[int]) -> Depths:
    """Depth 0 alone, for runs without rollouts: rows index [S, n] of flat data, with the policy's action there."""
    rows = data[index]
    action = policy.act(rows.obs, Streams(seeds, "audit.rollout", data.obs.device))
    return Depths((replace(rows, action=action),), (torch.ones_like(rows.terminal),), index)


def locate(truth: Dynamics, rows: Transitions, alive: Tensor) -> tuple[Transitions, Tensor]:
    """Rows [S, B, ...] that `truth` can start from, and which of the alive ones [S, B] really are themselves.

    A row that is void, or whose state cannot be reconstructed from its observation, is replaced by one that can,
    so that shapes stay fixed; its figures must be left out. Where no row can be, none is known and the rows are
    as they were: do not simulate them.
    """
    known = alive
    if rows.sim_state is None and isinstance(truth, Reconstructing):
        known = alive & truth.reconstructable(rows.obs)
    if bool(known.all()) or not bool(known.any()):
        return rows, known
    own = torch.arange(known.shape[-1], device=known.device).expand_as(known)
    seed = torch.arange(len(known), device=known.device).unsqueeze(-1).expand_as(known)
    # A seed's first known row; seeds that have none borrow another's.
    donor = torch.where(
        known.any(-1), torch.arange(len(known), device=known.device), known.any(-1).int().argmax()
    )
    first = known.int().argmax(-1)[donor]
    return rows[
        torch.where(known, seed, donor.unsqueeze(-1)), torch.where(known, own, first.unsqueeze(-1))
    ], known


class _Reader:
    """A penalty that costs nothing and writes down how uncertain the model is at each step."""

    def __init__(self) -> None:
        self.found: dict[str, list[Tensor]] = {name: [] for name in MEASURES}

    def __call__(
        self, reward: Tensor, terminal: Tensor, prediction: Prediction | None
    ) -> tuple[Tensor, Tensor]:
        if prediction is not None:
            for name, measure in MEASURES.items():
                self.found[name].append(measure(prediction))
        return reward, terminal
