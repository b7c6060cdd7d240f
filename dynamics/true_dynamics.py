"""The environment itself as a model: MuJoCo in batch, with rewards and ends of the environment's own version.

With it model errors are zero, and so is every penalty for them; what is left to fail is the edge of reach (Sims et
al. 2024, sec. 4). An observation is not a state where velocities are clipped (Hopper, Walker2d), so the carry
holds positions and velocities along a rollout. Actions are those of mbrl.run.envs: in [-1, 1], clipped there,
then scaled to the environment's bounds. docs/true_dynamics.md shows how to add an environment.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, EnvSpec, Prediction
from mbrl.datasets.actions import to_native_scale
from mbrl.datasets.simulator import TOLERANCE
from mbrl.dynamics.mujoco_batch import Rollouts, Substeps
from mbrl.dynamics.mujoco_make import check_version, make_simulator
from mbrl.dynamics.mujoco_rewards import Moment
from mbrl.dynamics.mujoco_tasks import Task, builder, task_for


@dataclass(frozen=True)
class Carry:
    """state [S, B, D] float64, qpos then qvel; done [S, B]: the row has ended; inner [S, B, L]: what the last
    simulator step computed and the state does not hold (mbrl.dynamics.mujoco_tasks.Task)."""

    state: np.ndarray
    done: np.ndarray
    inner: np.ndarray


class TrueDynamics:
    """MuJoCo through `mujoco.rollout` on `threads` threads (None: one a core); results do not depend on them.

    Raises ConfigError for an environment without a record or with arguments its record does not know, and
    MismatchError where env.versions names a mujoco on the other side of 3.5 than the one installed.
    """

    members = 1
    """The truth, of no deviation: see `truth_as_prediction`."""

    def __init__(
        self, env: EnvSpec, *, threads: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads={threads}: must be at least 1, or null for one a core")
        build = builder(env.id)
        check_version(env)
        made, arguments = make_simulator(env)
        self.env, self.device = env, torch.device(device)
        self.task: Task = task_for(env.id, build, made, arguments)
        self.low, self.high = made.action_space.low, made.action_space.high
        self.obs_dim, self.action_dim = made.observation_space.shape[0], len(self.low)
        self.nq, self.state_dim = made.model.nq, made.model.nq + made.model.nv
        if self.task.inside is None:
            self._advance = Rollouts(made.model, made.frame_skip, threads)
        else:
            self._advance = Substeps(made.model, made.frame_skip, self.task.inside, threads)

    def begin(self, obs: Tensor, sim_state: Tensor | None = None) -> Carry:
        """At sim_state [S, B, D], or at the states that obs [S, B, O] shows, with the robot at x = 0.

        Raises MismatchError for a sim_state of another width or of other observations than `obs`, and, without
        one, if any observation does not show its state (see `reconstructable`).
        """
        shown = obs.detach().cpu().double().numpy()
        if shown.shape[-1] != self.obs_dim:
            raise MismatchError(
                f"{self.env.id} has observations of {self.obs_dim} numbers, these have {shown.shape[-1]}"
            )
        return self.at(self._restored(shown) if sim_state is None else self._checked(sim_state, shown))

    def at(self, state: np.ndarray) -> Carry:
        """At states [..., D] that are set rather than stepped to."""
        fresh = self._fresh(state.reshape(-1, self.state_dim))
        return Carry(state, np.zeros(state.shape[:-1], dtype=bool), fresh.reshape(*state.shape[:-1], -1))

    def advance(
        self, carry: Carry, action: np.ndarray | Tensor
    ) -> tuple[Carry, np.ndarray, np.ndarray, np.ndarray]:
        """`step` in float64: the next carry, obs [..., O], reward and terminal [...] for action [..., A]."""
        lead = carry.done.shape
        if action.shape != (*lead, self.action_dim):
            want = (*lead, self.action_dim)
            raise MismatchError(
                f"{self.env.id} takes actions {want} at these states, got {tuple(action.shape)}"
            )
        after, reward, terminal = self._next(self._flat(carry), self._native(torch.as_tensor(action)))
        obs = self._observe(after).reshape(*lead, self.obs_dim)
        carry = Carry(
            after.state.reshape(*lead, -1), after.done.reshape(lead), after.inner.reshape(*lead, -1)
        )
        return carry, obs, reward.reshape(lead), terminal.reshape(lead)

    def step(
        self, carry: Carry, obs: Tensor, action: Tensor, streams: Streams, *, members: bool = False
    ) -> DynamicsStep:
        """One environment step of every row that has not ended, from the carry: `obs` is not read.

        A row that ended stays where it is: reward 0, terminal. A row whose action is not finite, or whose physics
        broke down, is terminal with reward 0 and a next_obs of NaN, which tells a rollout that it is void.
        members: one member that is the truth, of no deviation.
        """
        after, shown, paid, ended = self.advance(carry, action)
        next_obs, reward = (self._tensor(x, torch.float32) for x in (shown, paid))
        prediction = truth_as_prediction(next_obs, reward) if members else None
        return DynamicsStep(after, next_obs, reward, self._tensor(ended, torch.bool), prediction)

    def sim_state(self, carry: Carry) -> Tensor:
        """qpos then qvel, [S, B, D] float64."""
        return self._tensor(carry.state, torch.float64)

    def park(self, carry: Carry, rows: Tensor) -> Carry:
        """The carry with `rows` [S, B] bool where rows that ended are: they stay, with reward 0 and terminal."""
        return replace(carry, done=carry.done | rows.cpu().numpy())

    def moved(self, carry: Carry, next_obs: Tensor) -> Carry:
        """The carry with its states moved to what next_obs [S, B, O] shows; what it does not show stays.

        Where next_obs is the carry's own observation nothing moves, to the last bit. Which rows are done stays.
        """
        lead, flat = carry.done.shape, self._flat(carry)
        wanted = next_obs.detach().cpu().double().numpy().reshape(-1, self.obs_dim)
        shown = self._observe(flat).astype(np.float32)
        state = self.task.layout.shift(flat.state, shown.astype(np.float64), wanted)
        inner = flat.inner + (self._fresh(state) - self._fresh(flat.state))
        return Carry(state.reshape(*lead, -1), carry.done, inner.reshape(*lead, -1))

    def terminal(self, carry: Carry) -> np.ndarray:
        """[S, B] bool: the environment's rule at the carry's states, and where they are lost."""
        flat = self._flat(carry)
        lost = ~np.isfinite(flat.state).all(-1)
        return (self.task.terminal(self._moment(flat.state, flat.inner)) | lost).reshape(carry.done.shape)

    def reconstructable(self, obs: Tensor) -> Tensor:
        """[..., B] bool: which observations [..., B, O] show their whole state, so that `begin` needs no other."""
        found = self.task.layout.complete(obs.detach().cpu().double().numpy())
        return torch.from_numpy(np.asarray(found)).to(obs.device)

    def simulate(
        self, state: np.ndarray | Tensor, action: np.ndarray | Tensor
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """next state [..., D], obs [..., O], reward and terminal [...] in float64 for states [..., D] as if set.

        Rows whose physics broke down are NaN with reward 0, and terminal.
        """
        if isinstance(state, Tensor):
            state = state.detach().cpu().numpy()
        state = np.asarray(state, dtype=np.float64)
        after, *found = self.advance(self.at(state), action)
        return after.state, *found

    def _next(self, carry: Carry, native: np.ndarray) -> tuple[Carry, np.ndarray, np.ndarray]:
        """A flat carry one step on, reward and terminal [B]."""
        sane = np.isfinite(native).all(-1)
        live = ~carry.done & sane
        rows = slice(None) if live.all() else np.flatnonzero(live)
        before, control = self._moment(carry.state[rows], carry.inner[rows]), native[rows]
        state, inner = self._advance(carry.state[rows], control)
        at = self._moment(state, inner)
        lost = np.isnan(state[:, 0])
        paid = np.where(lost, 0.0, self.task.reward(before, control, at))
        ended = self.task.terminal(at) | lost
        if isinstance(rows, slice):
            return Carry(state, ended, inner), paid, ended
        after = Carry(carry.state.copy(), carry.done | ~sane, carry.inner.copy())
        after.state[~carry.done & ~sane] = np.nan
        reward = np.zeros(len(native))
        after.state[rows], after.inner[rows], after.done[rows], reward[rows] = state, inner, ended, paid
        return after, reward, after.done

    def _flat(self, carry: Carry) -> Carry:
        """Axes S and B as one."""
        rows = carry.done.size
        return Carry(carry.state.reshape(rows, -1), carry.done.reshape(rows), carry.inner.reshape(rows, -1))

    def _observe(self, carry: Carry) -> np.ndarray:
        """Observations [B, O] float64 of a flat carry."""
        shown = self.task.layout.observe(carry.state)
        if self.task.extra is None:
            return shown
        return np.concatenate([shown, self.task.extra(carry.inner)], axis=-1)

    def _native(self, action: Tensor) -> np.ndarray:
        """Actions [B, A] float32 on the environment's own scale."""
        flat = action.detach().cpu().numpy().astype(np.float32, copy=False).reshape(-1, self.action_dim)
        return to_native_scale(flat, self.low, self.high)

    def _moment(self, state: np.ndarray, inner: np.ndarray) -> Moment:
        return Moment(state[:, : self.nq], state[:, self.nq :], inner)

    def _fresh(self, state: np.ndarray) -> np.ndarray:
        return np.empty((len(state), 0)) if self.task.fresh is None else self.task.fresh(state)

    def _tensor(self, x: np.ndarray, dtype: torch.dtype) -> Tensor:
        """A tensor of its own on the device."""
        return torch.from_numpy(x).to(self.device, dtype, copy=True)

    def _restored(self, shown: np.ndarray) -> np.ndarray:
        """States that observations [S, B, O] show; MismatchError with a count if some show theirs in part."""
        layout = self.task.layout
        if bad := int((~layout.complete(shown)).sum()):
            reason = (
                "not finite"
                if layout.clip is None
                else f"velocities clipped at +-{layout.clip:g}, or not finite"
            )
            raise MismatchError(
                f"{bad} of {shown[..., 0].size} starts cannot be reconstructed: {reason} in the observation of "
                f"{self.env.id}; record infos/qpos and infos/qvel, or leave these starts out"
            )
        return layout.restore(shown)

    def _checked(self, sim_state: Tensor, shown: np.ndarray) -> np.ndarray:
        """sim_state as numpy; MismatchError unless it has the width of this simulator and shows `shown`."""
        state = sim_state.detach().cpu().double().numpy()
        if state.shape != (*shown.shape[:-1], self.state_dim):
            raise MismatchError(
                f"sim_state is shaped {state.shape}; {self.env.id} needs {(*shown.shape[:-1], self.state_dim)}, "
                f"{self.nq} positions then {self.state_dim - self.nq} velocities"
            )
        layout = self.task.layout
        # Both sides clipped: a learned model may predict what an observation could not show.
        want = layout.observe(layout.restore(shown))
        wrong = int((~np.isclose(layout.observe(state), want, rtol=TOLERANCE, atol=TOLERANCE).all(-1)).sum())
        if wrong:
            raise MismatchError(
                f"sim_state is not the state of the observation in {wrong} of {shown[..., 0].size} rows of "
                f"{self.env.id} (tolerance {TOLERANCE:g}): it was recorded at another time, or elsewhere"
            )
        return state


def truth_as_prediction(next_obs: Tensor, reward: Tensor) -> Prediction:
    """An ensemble of one certain member [S, 1, B, O + 1]: whatever measures uncertainty finds exactly none."""
    mean = torch.cat([next_obs, reward.unsqueeze(-1)], dim=-1).unsqueeze(1)
    elites = torch.zeros((len(reward), 1), dtype=torch.int64, device=reward.device)
    return Prediction(mean, torch.zeros_like(mean), elites)
