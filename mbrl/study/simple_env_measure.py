"""What is measured of a learner in the simple environment; returns are exact, values up to gamma^T."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import Policy
from mbrl.dynamics.grid_value import optimal_value
from mbrl.dynamics.monte_carlo import discounted_return
from mbrl.dynamics.simple_world import SimpleWorld, edge_of_reach, start_lattice
from mbrl.study.simple_env_cell import Learner

EPISODE = 30
"""H: steps of an episode."""


class Still:
    """The policy that does nothing."""

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Zeros [S, B, A]."""
        return torch.zeros_like(obs)


def episode_return(world: SimpleWorld, policy: Policy, seeds: int) -> Tensor:
    """[S] float64: sum of 30 rewards of the deterministic policy, averaged over a lattice of 64 starts. Exact."""
    starts = (start_lattice() / world.unit).expand(seeds, -1, -1)
    still = Streams(range(seeds), "no noise is drawn")
    return discounted_return(world, _Mode(policy), starts, None, still, gamma=1.0, horizon=EPISODE).mean(-1)


@dataclass(frozen=True)
class _Mode:
    """A policy without its noise."""

    policy: Policy

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        return self.policy.act(obs)


def reference_returns(world: SimpleWorld) -> tuple[float, float]:
    """Episode returns of doing nothing and of the optimum (lattice of spacing 0.25, a lower bound)."""
    nothing = episode_return(world, Still(), 1).item()
    best = optimal_value(world.reward, gamma=1.0, horizon=EPISODE, half_width=2.0 + EPISODE)
    return nothing, best.at(start_lattice()).mean().item()


def failed(returns: Tensor, nothing: float, best: float, share: float = 0.5) -> Tensor:
    """[S] bool: less than `share` of the way from doing nothing to the optimum; NaN fails, too."""
    return ~(returns >= nothing + share * (best - nothing))


@torch.no_grad()
def snapshot(learner: Learner, rows: int = 1024) -> dict[str, Tensor]:
    """Everything watched, each [S], without touching the learner's own streams.

    q: min_i Q_i at rows in the buffer; oracle_q: the true soft value of the same state and action under the
    current policy. penalty: mean_i Q_i - min_i Q_i under the policy, at states that updates start from (within)
    and at successors of the last step (edge), and on even samples of the exact sets. edge_share: share of target
    values from successors of the last step; edge_share_exact: from the exact edge-of-reach set.
    """
    agent, plan, scale = learner.agent, learner.plan, learner.cell.reward_scale
    deepest = learner.last_step
    streams = Streams(plan.seeds, f"look.{learner.update}")
    batch = learner.experience.synthetic.sample(rows, streams)
    q = agent.critics(batch.obs, batch.action)
    few = slice(0, rows // 8)
    options = {"gamma": plan.gamma, "horizon": plan.oracle_horizon, "first_action": batch.action[:, few]}
    oracle = discounted_return(learner.world, agent, batch.obs[:, few], None, streams, **options)
    last, exact = batch.step == deepest, edge_of_reach(batch.next_obs * learner.cell.unit, deepest)
    at_next = penalty(agent.values(batch.next_obs))
    inside, ring = (x / learner.cell.unit for x in exact_samples(deepest))
    return {
        "return": episode_return(learner.truth, agent, len(plan.seeds)),
        "q": q.amin(-2).mean(-1) / scale,
        "q_mean": q.mean((-1, -2)) / scale,
        "oracle_q": oracle.mean(-1) / scale,
        "q_minus_oracle": (q.amin(-2)[:, few] - oracle).mean(-1) / scale,
        "penalty_within": penalty(agent.values(batch.obs)).mean(-1) / scale,
        "penalty_edge": (at_next * last).sum(-1) / last.sum(-1) / scale,
        "penalty_within_exact": penalty(agent.values(inside.expand(len(q), -1, -1))).mean(-1) / scale,
        "penalty_edge_exact": penalty(agent.values(ring.expand(len(q), -1, -1))).mean(-1) / scale,
        "edge_share": last.double().mean(-1),
        "edge_share_exact": exact.double().mean(-1),
        "alpha": agent.alpha / scale,
    }


@torch.no_grad()
def penalty_quantiles(learner: Learner, rows: int = 1024) -> dict[str, Tensor]:
    """{where: [5]} the 5, 25, 50, 75, 95 % quantiles of the effective penalty over all seeds' states.

    within and edge are exact sets sampled evenly; visited_within and visited_edge what training meets: the
    states updates start from, and successors of the last step.
    """
    agent, plan, deepest = learner.agent, learner.plan, learner.last_step
    seeds, streams = len(plan.seeds), Streams(plan.seeds, f"quantiles.{learner.update}")
    batch = learner.experience.synthetic.sample(rows, streams)
    last = batch.step == deepest
    inside, ring = ((x / learner.cell.unit).expand(seeds, -1, -1) for x in exact_samples(deepest))
    found = {
        "within": penalty(agent.values(inside)),
        "edge": penalty(agent.values(ring)),
        "visited_within": penalty(agent.values(batch.obs)),
        "visited_edge": penalty(agent.values(batch.next_obs))[last],
    }
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    return {k: v.flatten().quantile(levels) / learner.cell.reward_scale for k, v in found.items()}


@torch.no_grad()
def trajectories(learner: Learner) -> Tensor:
    """[S, H + 1, 2]: an episode of each seed's deterministic policy from the lattice start of its number."""
    starts = start_lattice()
    pick = torch.arange(len(learner.plan.seeds)) * 7 % len(starts)
    path = [starts[pick].unsqueeze(1) / learner.cell.unit]
    streams = Streams(learner.plan.seeds, "no noise is drawn")
    for _ in range(EPISODE):
        action = learner.agent.act(path[-1])
        path.append(learner.truth.step(None, path[-1], action, streams).next_obs)
    return torch.cat(path, dim=1) * learner.cell.unit


def penalty(values: Tensor) -> Tensor:
    """mean_i Q_i - min_i Q_i [S, B] of values [S, N, B] (Sims et al. 2024, sec. 6)."""
    return values.mean(-2) - values.amin(-2)


def exact_samples(horizon: int, spacing: float = 0.5) -> tuple[Tensor, Tensor]:
    """Lattice points reached before step `horizon`, and those of the exact edge-of-reach set, each [., 2]."""
    count = round((2 + horizon) / spacing)
    axis = torch.arange(-count, count + 1) * spacing
    points = torch.cartesian_prod(axis, axis)
    ring = edge_of_reach(points, horizon)
    return points[~ring], points[ring]
