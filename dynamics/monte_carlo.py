"""Monte-Carlo values of a policy in a model: the truth, where the model is the true one."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Parking, Policy, SoftPolicy, Transitions


@torch.no_grad()
def discounted_return(
    dynamics: Dynamics,
    policy: Policy,
    obs: Tensor,
    sim_state: Tensor | None,
    streams: Streams,
    *,
    gamma: float,
    horizon: int,
    first_action: Tensor | None = None,
    soft: bool = True,
) -> Tensor:
    """sum_t gamma^t (r_t + bonus_t) over one rollout of at most `horizon` steps from each row, [S, B] float64.

    obs [S, B, O], sim_state [S, B, D] where the model needs it. A terminal ends the sum; the horizon truncates
    it, which leaves out at most gamma^horizon / (1 - gamma) times the largest |r|. soft: add -alpha log pi of
    each sampled action where the policy has an entropy bonus. With first_action [S, B, A] the result estimates
    Q(s, a) (no bonus on that action), else V(s) (with it): exactly what SAC's Q and V stand for.
    """
    carry = dynamics.begin(obs, sim_state)
    if first_action is None:
        return _from(carry, dynamics, policy, obs, streams, gamma=gamma, horizon=horizon, soft=soft)
    carry, next_obs, reward, terminal, _ = dynamics.step(carry, obs, first_action, streams)
    options = {"gamma": gamma, "horizon": horizon - 1, "soft": soft, "alive": ~terminal}
    later = _from(carry, dynamics, policy, next_obs, streams, **options)
    return reward.double() + gamma * later


def _from(
    carry: Any,
    dynamics: Dynamics,
    policy: Policy,
    obs: Tensor,
    streams: Streams,
    *,
    gamma: float,
    horizon: int,
    soft: bool = True,
    alive: Tensor | None = None,
) -> Tensor:
    """The discounted (soft) return from a carry on, [S, B] float64; 0 for rows that are not alive [S, B]."""
    # The loop ends with the last row of any seed, so its draws come from streams of their own.
    streams = streams.spawn("monte_carlo")
    total = torch.zeros(obs.shape[:-1], dtype=torch.float64, device=obs.device)
    alive = torch.ones_like(total, dtype=torch.bool) if alive is None else alive
    for t in range(horizon):
        if not bool(alive.any()):
            break
        action, bonus = _act(policy, obs, streams, soft)
        carry, next_obs, reward, terminal, _ = dynamics.step(carry, obs, action, streams)
        total += gamma**t * torch.where(alive, (reward + bonus).double(), 0.0)
        alive = alive & ~terminal
        # Rows that ended go on in name only, and stay where they ended.
        obs = torch.where(alive.unsqueeze(-1), next_obs, obs)
    return total


def _act(policy: Policy, obs: Tensor, streams: Streams, soft: bool) -> tuple[Tensor, Tensor]:
    if soft and isinstance(policy, SoftPolicy):
        return policy.act_soft(obs, streams)
    return policy.act(obs, streams), torch.zeros(obs.shape[:-1], device=obs.device)


@dataclass(frozen=True)
class MonteCarloOracle:
    """V of the current policy at the successors of rows, by `rollouts` rollouts of `horizon` steps each.

    It steps dynamics once with the row's own action to stand at its successor, in full simulator state, and rolls
    the policy out from there. Every row is drawn for, asked for or not: what a seed draws must not depend on how
    many rows the seeds beside it ask for. A dynamics that is Parking simulates those asked for alone; any other
    simulates all, so give it the rows that matter.
    """

    dynamics: Dynamics
    gamma: float = 0.99
    rollouts: int = 1
    horizon: int = 200

    def __post_init__(self) -> None:
        if self.rollouts < 1 or self.horizon < 1:
            raise ConfigError(
                f"an oracle needs rollouts >= 1 and horizon >= 1, got {self.rollouts} and {self.horizon}"
            )

    @torch.no_grad()
    def value(self, policy: Policy, batch: Transitions, where: Tensor, streams: Streams) -> Tensor:
        """The mean over rollouts of the soft return after the row's step, [S, B] float64; 0 outside `where`."""
        repeat = (1, self.rollouts, 1)
        obs, action = batch.obs.repeat(*repeat), batch.action.repeat(*repeat)
        state = None if batch.sim_state is None else batch.sim_state.repeat(*repeat)
        carry, asked = self.dynamics.begin(obs, state), where.repeat(1, self.rollouts)
        if isinstance(self.dynamics, Parking):
            carry = self.dynamics.park(carry, ~asked)
        carry, obs, _, terminal, _ = self.dynamics.step(carry, obs, action, streams)
        options = {"gamma": self.gamma, "horizon": self.horizon}
        alive = asked & ~terminal
        values = _from(carry, self.dynamics, policy, obs, streams, alive=alive, **options)
        mean = values.view(len(where), self.rollouts, -1).mean(dim=1)
        return torch.where(where, mean, 0.0)
