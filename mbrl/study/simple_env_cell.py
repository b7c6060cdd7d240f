"""One cell of the simple environment's study: a reward map and a method, trained as one stack of seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.agents.edge import ConstantPenalty, RecordedPatch
from mbrl.agents.sac import SAC
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.seeds import Streams
from mbrl.core.types import EdgeTreatment, Policy, Transitions, ValueOracle
from mbrl.dynamics.grid_value import GridOracle, GridValue, optimal_value
from mbrl.dynamics.monte_carlo import MonteCarloOracle
from mbrl.dynamics.simple_world import SimpleWorld, edge_of_reach, start_states
from mbrl.run.experience import MixedData
from mbrl.run.sources import ModelRollouts


@dataclass(frozen=True)
class Method:
    """Critics, weight of their diversity, and what happens at the edge (a name in EDGES)."""

    num_critics: int = 2
    eta: float = 0.0
    edge: str = "none"


@dataclass(frozen=True)
class Cell:
    """What varies: the map, the method's name, hidden units a layer, and the critics' first weights.

    hidden_scale and head_scale multiply the initial weights and biases of the hidden layers and of the last
    layer; 1 and 1 are EDAC's initialisation. The agent sees reward_scale * (r + reward_shift); returns are
    reported in the map's own units.
    """

    reward_map: str
    method: str
    width: int = 64
    hidden_scale: float = 1.0
    head_scale: float = 1.0
    reward_scale: float = 1.0
    reward_shift: float = 0.0
    unit: float = 1.0
    bias_spread: float = 0.0


@dataclass(frozen=True)
class Training:
    """What all cells share; the constants are ours."""

    seeds: tuple[int, ...] = tuple(range(10))
    updates: int = 5000
    eval_every: int = 500
    batch_size: int = 128
    lr: float = 1e-3
    alpha: float = 0.1
    target_entropy: float = 0.0
    gamma: float = 0.99
    tau: float = 0.02
    backup_entropy: bool = False
    horizon: int = 10
    starts: int = 256
    retain: int = 5
    refresh_every: int = 100
    oracle_horizon: int = 300
    edge_cost: float = 10.0


def _ravl(num_critics: int, eta: float) -> dict[str, Method]:
    return {f"ravl_n{num_critics}_eta{eta:g}": Method(num_critics, eta)}


METHODS: dict[str, Method] = {
    "base": Method(),
    "base_patch": Method(edge="optimal_exact"),
    "base_patch_policy": Method(edge="policy_exact"),
    "base_patch_last": Method(edge="optimal_last"),
    "base_patch_last_policy": Method(edge="policy_last"),
    "drop": Method(edge="drop"),
    "constant": Method(edge="constant"),
    **{k: m for n in (2, 10, 30) for e in (0.0, 1.0, 10.0, 100.0) for k, m in _ravl(n, e).items()},
}
"""Methods by name; ravl_n2_eta0 is base once more, under the name it has in the RAVL grid."""


@dataclass(frozen=True)
class ExactEdge:
    """An oracle that answers at exact edge-of-reach states alone, and NaN (not known) elsewhere."""

    oracle: ValueOracle
    horizon: int
    unit: float

    def value(self, policy: Policy, batch: Transitions, where: Tensor, streams: Streams) -> Tensor:
        """[S, B] float64."""
        value = self.oracle.value(policy, batch, where, streams)
        return torch.where(edge_of_reach(batch.next_obs * self.unit, self.horizon), value, torch.nan)


def _policy_oracle(world: SimpleWorld, plan: Training) -> ValueOracle:
    """One rollout of the policy as it is when rows are drawn: exact but for its own noise and gamma^T."""
    return MonteCarloOracle(world, plan.gamma, rollouts=1, horizon=plan.oracle_horizon)


def _optimal_oracle(world: SimpleWorld, plan: Training) -> ValueOracle:
    grid = optimal_value(world.reward, gamma=plan.gamma, horizon=3 * plan.oracle_horizon)
    return GridOracle(GridValue(grid.values, grid.half_width / world.unit))


def _edge_parts(
    edge: str, world: SimpleWorld, plan: Training
) -> tuple[EdgeTreatment | None, ValueOracle | None]:
    """The agent's treatment of the edge and the oracle that its rows are recorded with."""
    recorded = RecordedPatch(plan.horizon)
    parts = {
        "none": lambda: (None, None),
        "drop": lambda: (None, None),
        "constant": lambda: (ConstantPenalty(plan.edge_cost, plan.horizon), None),
        "optimal_last": lambda: (recorded, _optimal_oracle(world, plan)),
        "optimal_exact": lambda: (
            recorded,
            ExactEdge(_optimal_oracle(world, plan), plan.horizon, world.unit),
        ),
        "policy_last": lambda: (recorded, _policy_oracle(world, plan)),
        "policy_exact": lambda: (recorded, ExactEdge(_policy_oracle(world, plan), plan.horizon, world.unit)),
    }
    return parts[edge]()


@torch.no_grad()
def scale_critics(agent: SAC, hidden_scale: float, head_scale: float) -> None:
    """Multiply the critics' weights and biases in place, and start the targets from them."""
    *hidden, last = agent.critics.net.layers
    for layers, scale in ((hidden, hidden_scale), ([last], head_scale)):
        for layer in layers:
            layer.weight.mul_(scale)
            layer.bias.mul_(scale)
    agent.targets.load_state_dict(agent.critics.state_dict())


@torch.no_grad()
def spread_biases(agent: SAC, spread: float, seeds: Sequence[int]) -> None:
    """Add U(-spread, spread) to the hidden biases of actor and critics, in place; targets start from the critics.

    A constant bias of 0.1 puts the kinks of every first-layer unit within a few tenths of the origin, so that
    a fresh network is all but linear along every ray that leaves it, and members extrapolate alike.
    """
    streams = Streams(seeds, "simple.biases")
    for net in (agent.actor.net, agent.critics.net):
        for layer in net.layers[:-1]:
            layer.bias.add_(spread * (2 * streams.rand(*layer.bias.shape[1:]) - 1))
    agent.targets.load_state_dict(agent.critics.state_dict())


class Learner:
    """An agent, its world and its experience, ready to be updated."""

    def __init__(self, cell: Cell, plan: Training) -> None:
        """Raises ConfigError for a method or a reward map that is not known."""
        if cell.method not in METHODS:
            raise ConfigError(unknown_name("method", cell.method, METHODS))
        self.cell, self.plan, self.method = cell, plan, METHODS[cell.method]
        self.truth = SimpleWorld(cell.reward_map, unit=cell.unit)
        scale, shift, shown = cell.reward_scale, cell.reward_shift, self.truth.reward
        self.world = SimpleWorld(lambda state: scale * (shown(state) + shift), unit=cell.unit)
        edge, oracle = _edge_parts(self.method.edge, self.world, plan)
        self.agent = SAC(
            2,
            2,
            seeds=plan.seeds,
            num_critics=self.method.num_critics,
            eta=self.method.eta,
            hidden=(cell.width, cell.width),
            gamma=plan.gamma,
            tau=plan.tau,
            actor_lr=plan.lr,
            critic_lr=plan.lr,
            alpha_lr=plan.lr,
            alpha=plan.alpha * scale,
            target_entropy=plan.target_entropy,
            backup_entropy=plan.backup_entropy,
            edge=edge,
        )
        scale_critics(self.agent, cell.hidden_scale, cell.head_scale)
        spread_biases(self.agent, cell.bias_spread, plan.seeds)
        drop = self.method.edge == "drop"
        self.last_step = plan.horizon - drop  # the deepest rollout step that is learned from
        data = start_rows(self.world)
        source = ModelRollouts(self.world, data, horizon=plan.horizon, drop_last=drop, oracle=oracle)
        sizes = {"starts": plan.starts, "retain": plan.retain, "refresh_every": plan.refresh_every}
        self.experience = MixedData(data, source, batch_size=plan.batch_size, real_ratio=0.0, **sizes)
        self.streams = Streams(plan.seeds, "train")
        self.update = 0

    def advance(self, updates: int) -> None:
        """That many updates, with new rollouts where they are due."""
        for _ in range(updates):
            if self.update % self.plan.refresh_every == 0:
                self.experience.refresh(self.agent, self.streams)
            self.agent.update(self.experience.sample(self.streams), self.streams)
            self.update += 1


def start_rows(world: SimpleWorld, rows: int = 10_000) -> Transitions:
    """The dataset: flat rows [B, ...] of one random step from uniform start states; all seeds share it."""
    streams = Streams((0,), "simple.data")
    obs, action = start_states(rows, streams) / world.unit, 2 * streams.rand(rows, 2) - 1
    out = world.step(None, obs, action, streams)
    no = torch.zeros_like(out.terminal)
    step = torch.zeros(no.shape, dtype=torch.int64)
    return Transitions(obs, action, out.reward, out.next_obs, no, no, step)[0]
