"""What the simulator makes of joint rows: the truth that samples of several agents are measured against."""

from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_make import make_simulator
from mbrl.dynamics.true_dynamics import TrueDynamics

REASONS = {
    "Walker2d": "its agents see velocities as they are, the robot's observation clips them at +-10",
    "Ant": "its agents see contact forces, which are computed inside a step and which no state holds",
}
UNMAPPED = "gymnasium-robotics has no mapping of its agents' observations to the robot's, or one that fails"


class JointStep(NamedTuple):
    """One true step of rows [...].

    next_obs [..., N, O]; reward [...]; terminal [...] bool. disagreement [...]: the largest difference between two
    agents' views of one and the same number. known [...] bool: obs showed the whole state; where it did not, a
    velocity was at the bound that observations are clipped to, and the step is that from the bound, or the row was
    not finite, and next_obs is NaN.
    """

    next_obs: Tensor
    reward: Tensor
    terminal: Tensor
    disagreement: Tensor
    known: Tensor


class JointTruth:
    """One step of a MaMuJoCo team from any joint observation: TrueDynamics of the robot below.

    Agents' observations overlap. Where they contradict each other, as those of a generative model may, the robot's
    number is the mean over the agents that see it: of all robot observations that whose own views are nearest to
    theirs, in squares. Positions that nobody sees (the robot's x) are 0.

    env: an id "mamujoco/...", registered by mbrl.run.envs, of a robot whose observation the agents share out
    exactly and whose state it shows: HalfCheetah and Hopper. Raises ConfigError for any other, with the reason, and
    MismatchError where env.versions names a mujoco on the other side of 3.5. threads: as for TrueDynamics.
    """

    def __init__(
        self, env: EnvSpec, *, threads: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        team = _team(env)
        self.env, self.device = env, torch.device(device)
        self.layout: Layout = team.layout
        self.truth = TrueDynamics(
            EnvSpec(team.robot.spec.id, dict(team.robot.spec.kwargs), env.versions), threads=threads
        )
        self.seen, self.moved = np.concatenate(team.seen), np.concatenate(team.moved)
        missing = set(range(self.truth.obs_dim)) - set(self.seen.tolist())
        if missing:
            raise ConfigError(f"{env.id}: no agent sees entries {sorted(missing)} of the robot's observation")
        team.close()

    def step(self, obs: Tensor, action: Tensor, sim_state: Tensor | None = None) -> JointStep:
        """One step of obs [..., N, O] by action [..., N, A] in [-1, 1], whose padding is not read.

        sim_state [..., D]: where it is known; else it is what obs shows. Raises MismatchError for a sim_state of
        other observations, and DataError for rows of other agents.
        """
        whole, disagreement = self.robot_obs(obs)
        flat = self.layout.flat_action(action).detach().cpu()
        control = torch.empty_like(flat)
        # The environment would clip an infinite action; here it says that something is wrong.
        control[..., torch.from_numpy(self.moved)] = flat.where(flat.isfinite(), torch.nan)
        known = self.truth.reconstructable(whole) & control.isfinite().all(-1)
        if sim_state is None:
            carry = self.truth.at(self.truth.task.layout.restore(whole.numpy()))
        else:
            carry = self.truth.begin(whole, sim_state)
            known = control.isfinite().all(-1) & whole.isfinite().all(-1)
        _, shown, reward, terminal = self.truth.advance(carry, control)
        next_obs = self.layout.joint_obs(torch.from_numpy(shown[..., self.seen]))
        found = (next_obs.float(), torch.from_numpy(reward).float(), torch.from_numpy(terminal))
        return JointStep(*(x.to(self.device) for x in (*found, disagreement.float(), known)))

    def robot_obs(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """What the robot's observation [..., sum of its entries] float64 would be, and the agents' disagreement."""
        views = self.layout.flat_obs(obs).detach().cpu().double()
        index = torch.from_numpy(self.seen)
        where = index.expand_as(views)
        blank = views.new_zeros(*views.shape[:-1], self.truth.obs_dim)
        counts = torch.bincount(index, minlength=self.truth.obs_dim)
        whole = blank.scatter_add(-1, where, views) / counts
        high = blank.scatter_reduce(-1, where, views, "amax", include_self=False)
        low = blank.scatter_reduce(-1, where, views, "amin", include_self=False)
        return whole, (high - low).amax(-1)


def _team(env: EnvSpec) -> gymnasium.Env:
    """The team's environment; ConfigError unless it shares out its robot's observation exactly."""
    if env.id not in gymnasium.registry:
        raise ConfigError(f"{env.id} is not registered: mbrl.run.envs registers mamujoco/<task>-v1")
    team, _ = make_simulator(env)
    if not isinstance(getattr(team, "layout", None), Layout) or not hasattr(team, "robot"):
        raise ConfigError(
            f"{env.id} is no team that shares one robot; use TrueDynamics, or mamujoco/<task>-v1"
        )
    reason = REASONS.get(team.scenario) or (UNMAPPED if team.seen is None else None)
    if reason:
        raise ConfigError(
            f"{env.id}: one true step needs the robot's state from what the agents see, but {reason}; "
            "HalfCheetah and Hopper are exact"
        )
    return team
