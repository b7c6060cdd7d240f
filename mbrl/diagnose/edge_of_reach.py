"""Values by rollout step, and how much of the targets comes from the edge of reach (Sims et al. 2024, sec. 4)."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.diagnose.figure import Figure, by_step, over
from mbrl.run.probe import HasValues, effective_penalty, mean_where

CHUNK = 2048
"""Rows a seed that go through the critics at a time: bounds memory, whatever their number."""


@runtime_checkable
class HasTargets(Protocol):
    """An agent whose critics are regressed on a target."""

    def target(self, batch: Transitions, streams: Streams) -> Tensor:
        """What the critics are regressed on, [S, B]."""


@torch.no_grad()
def values_by_step(
    agent: HasValues, rows: Transitions, alive: Tensor, data_obs: Tensor, horizon: int
) -> dict[str, dict[str, Figure]]:
    """What the critics say of states under the policy, Q_i(s, pi(s)) at its deterministic action.

    rows [S, B, ...] of rollout steps 1..horizon; data_obs [S, n, O]. Returned for "data" (one place), for the rows'
    "own" states and for their "successor"s that are bootstrapped from (horizon places each): "q_mean" and
    "q_min" over critics, "q_std", their population deviation, and "penalty", q_mean - q_min. The own states of
    steps 1..k are inputs of updates; of the successors those of step k are not.
    """
    own, after, data = (described(agent, obs) for obs in (rows.obs, rows.next_obs, data_obs))
    everywhere = torch.ones(data_obs.shape[:-1], dtype=torch.bool, device=data_obs.device)
    return {
        "data": {name: over([x], [everywhere]) for name, x in data.items()},
        "own": {name: by_step(x, alive, rows.step, horizon) for name, x in own.items()},
        "successor": {
            name: by_step(x, alive & ~rows.terminal, rows.step, horizon) for name, x in after.items()
        },
    }


def described(agent: HasValues, obs: Tensor) -> dict[str, Tensor]:
    """`describe` of the values at obs [S, B, O], a few rows at a time."""
    parts = [describe(agent.values(part)) for part in obs.split(CHUNK, dim=1)]
    return {name: torch.cat([part[name] for part in parts], dim=-1) for name in parts[0]}


def describe(q: Tensor) -> dict[str, Tensor]:
    """q [S, N, B] in four figures over critics, [S, B] each."""
    found = {"q_mean": q.mean(dim=-2), "q_min": q.amin(dim=-2), "q_std": q.std(dim=-2, correction=0)}
    return found | {"penalty": effective_penalty(q)}


@torch.no_grad()
def targets_by_step(
    agent: HasTargets, rows: Transitions, alive: Tensor, horizon: int, streams: Streams
) -> Figure:
    """The critics' own targets at steps 1..horizon of rows [S, B, ...]; penalties and edge treatments included."""
    starts = range(0, len(rows), CHUNK)
    target = torch.cat([agent.target(rows[:, i : i + CHUNK], streams) for i in starts], dim=-1)
    return by_step(target, alive, rows.step, horizon)


def target_share(
    rows: Transitions, alive: Tensor, horizon: int, real_terminal: Tensor, real_share: float
) -> dict[str, Tensor]:
    """Of all targets that bootstrap, the share that does so from a successor at depth k = horizon, [S] each.

    "synthetic": among rows [S, B, ...] of rollouts; "batch": in a training batch, a share real_share of which is
    real rows, whose ends are real_terminal [n]. Without terminals that is 1 / k, and (1 - real_share) / k.
    """
    bootstraps = alive & ~rows.terminal
    edge = mean_where((bootstraps & (rows.step == horizon)).double(), alive)
    synthetic = mean_where(bootstraps.double(), alive)
    real = (~real_terminal).double().mean()
    batch = (1 - real_share) * edge / ((1 - real_share) * synthetic + real_share * real)
    return {"synthetic": edge / synthetic, "batch": batch}


def propagation(gamma: float, horizon: int) -> Tensor:
    """gamma^(k - t) [k + 1]: what an error of 1 at the edge comes to at depths t = 0..k, by way of targets."""
    return gamma ** torch.arange(horizon, -1, -1, dtype=torch.float64)
