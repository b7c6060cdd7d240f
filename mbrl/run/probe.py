"""Values along the reach of rollouts: what Q says of states that 0, 1, .., k model steps lead to."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.run.experience import MixedData, RealData


@runtime_checkable
class HasValues(Protocol):
    """An agent with critics."""

    def values(self, obs: Tensor) -> Tensor:
        """Q_i(s, pi(s)) [S, N, B] at the deterministic action."""


@torch.no_grad()
def reach_probe(
    agent: HasValues, experience: RealData | MixedData, streams: Streams, rows: int = 2048
) -> dict[str, Tensor]:
    """Mean value and effective penalty at states of depth t, each [S]; NaN where a depth has no row.

    Depth 0 are dataset states; depth t are the successors of rollout step t. Depths below the horizon are
    inputs of critic updates, too; the deepest, t = k, appears in targets alone: the edge of reach (Sims et al.
    2024, sec. 4). Effective penalty: `effective_penalty` of the values under the policy.
    """
    found = _values(agent, experience.real(rows, streams).obs)
    metrics = {f"{name}_depth_0": value.mean(-1) for name, value in found.items()}
    if experience.synthetic is None:
        return metrics
    batch = experience.synthetic.sample(rows, streams)
    found = _values(agent, batch.next_obs)
    horizon = experience.source.horizon
    for depth in range(1, horizon + 1):
        here = (batch.step == depth) & ~batch.terminal
        for name, value in found.items():
            metrics[f"{name}_depth_{depth}"] = mean_where(value, here)
    return metrics


def mean_where(x: Tensor, where: Tensor) -> Tensor:
    """Mean [...] of x [..., B] over the rows in `where` [..., B] bool; NaN where there is none."""
    return torch.where(where, x, 0.0).sum(-1) / where.sum(-1)


def effective_penalty(q: Tensor) -> Tensor:
    """mean_i Q_i - min_i Q_i [..., B] of q [..., N, B]: what the minimum takes off (Sims et al. 2024, sec. 6)."""
    return q.mean(dim=-2) - q.amin(dim=-2)


def _values(agent: HasValues, obs: Tensor) -> dict[str, Tensor]:
    q = agent.values(obs)
    return {"reach/q": q.mean(dim=-2), "reach/penalty": effective_penalty(q)}
