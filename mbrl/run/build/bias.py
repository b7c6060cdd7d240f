"""Overestimate along a run: what the critics say of states, minus what the policy really collects from them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl.conf.schema import Config
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Tracing, Transitions, ValuedPolicy, concatenate
from mbrl.datasets import OfflineDataset
from mbrl.dynamics.monte_carlo import discounted_return
from mbrl.run.build.model import true_dynamics
from mbrl.run.build.starts import starts_for
from mbrl.run.rollout import rollout


@dataclass(frozen=True)
class BiasProbe:
    """Q against Monte-Carlo returns in `truth`, at data states and at the states `depth` policy steps from them.

    Q is min_i Q_i(s, a) at an action the policy samples; the return takes that action, then follows the sampling
    policy and counts its entropy bonus, which is what Q stands for. One rollout of `horizon` steps a state, so at
    most a share gamma^horizon of the value is left out. data: flat rows [B, ...]; states: how many of them a
    seed, the same ones at every look. depth 0: data states only.
    """

    truth: Dynamics
    data: Transitions
    seeds: tuple[int, ...]
    states: int = 64
    depth: int = 5
    gamma: float = 0.99
    horizon: int = 300

    @torch.no_grad()
    def __call__(self, agent: ValuedPolicy, update: int) -> dict[str, Tensor]:
        """bias/{q, mc_value, overestimate}_depth_<d> [S], each a mean over states; NaN where no rollout got there.

        Streams of its own: looking does not change what is learned.
        """
        rows, alive = self._rows(agent, Streams(self.seeds, f"bias.{update}", self.data.obs.device))
        q = agent.q_values(rows.obs, rows.action).amin(dim=-2).double()
        streams = Streams(self.seeds, f"bias.return.{update}", self.data.obs.device)
        value = discounted_return(
            self.truth,
            agent,
            rows.obs,
            rows.sim_state,
            streams,
            gamma=self.gamma,
            horizon=self.horizon,
            first_action=rows.action,
        )
        found = {"bias/q": q, "bias/mc_value": value, "bias/overestimate": q - value}
        metrics = {}
        for depth in sorted({0, self.depth}):
            here = alive & (rows.step == depth + 1)
            for name, x in found.items():
                metrics[f"{name}_depth_{depth}"] = torch.where(here, x, 0.0).sum(-1) / here.sum(-1)
        return metrics

    def _rows(self, agent: ValuedPolicy, streams: Streams) -> tuple[Transitions, Tensor]:
        """The first row of a rollout and its last, one step past `depth`; and which of them are alive."""
        picked = Streams(self.seeds, "bias.states", self.data.obs.device).randint(len(self.data), self.states)
        options = {"keep_state": isinstance(self.truth, Tracing)}
        rows, alive = rollout(self.truth, agent, self.data[picked], self.depth + 1, streams, **options)
        if self.depth == 0:
            return rows, alive
        ends = slice(None, self.states), slice(-self.states, None)
        return concatenate([rows[:, s] for s in ends]), torch.cat([alive[:, s] for s in ends], dim=-1)


def bias_from_config(config: Config, dataset: OfflineDataset, device: torch.device) -> BiasProbe | None:
    """The probe that train.bias_states asks for; None at 0. Raises ConfigError as `true_dynamics` does.

    It looks at states that one can simulate from; raises MismatchError where there are none.
    """
    train = config.train
    if train.bias_states == 0:
        return None
    truth = true_dynamics(dataset, device)
    data = starts_for(truth, dataset, device)
    return BiasProbe(
        truth,
        data,
        tuple(config.seeds),
        states=train.bias_states,
        depth=getattr(config.source, "horizon", 0),
        gamma=config.agent.gamma,
        horizon=train.bias_horizon,
    )
