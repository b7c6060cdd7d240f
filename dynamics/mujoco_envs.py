"""Gymnasium's MuJoCo environments side by side: exactly their own steps, with the physics on all cores.

Each environment stays in its own MjData, warm start and all, so a trajectory is to the last bit the one that its
own `step` would make; only what Python does for it is done once for all of them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.datasets.actions import to_native_scale
from mbrl.dynamics.mujoco_batch import cores
from mbrl.dynamics.mujoco_rewards import Moment
from mbrl.dynamics.mujoco_tasks import TASKS, Task, task_for

TEAMS = "mbrl.run.mamujoco"
"""Where the one kind of team is from that is a robot and nothing else."""
PLAIN = (OrderEnforcing, PassiveEnvChecker, TimeLimit)
"""Wrappers that leave observation, reward and terminal as they are; a time limit is the caller's to keep."""


def side_by_side(
    envs: Sequence[gymnasium.Env], *, threads: int | None = None
) -> "SideBySide | TeamsSideBySide | None":
    """`envs`, all of one kind, as one; None where nothing but their own `step` is known to be right.

    That is: an environment without a record in mbrl.dynamics.mujoco_tasks, arguments that its record does not know,
    or wrappers that might change what it shows; of teams, those that do not see their robot's observation in parts.
    threads: None for one a core.
    """
    inner = [_bare(env) for env in envs]
    if type(inner[0]).__module__ != TEAMS:
        return _robots(envs[0].spec, inner, threads)
    if inner[0].seen is None or not all(type(e) is type(inner[0]) for e in inner):
        return None
    robots = _robots(inner[0].robot.spec, [e.robot for e in inner], threads)
    return None if robots is None else TeamsSideBySide(robots, inner[0])


def _robots(spec: EnvSpec | None, inner: Sequence[gymnasium.Env], threads: int | None) -> "SideBySide | None":
    """Environments without wrappers, made by `spec`, as one."""
    own = type(inner[0]).__module__.startswith("gymnasium.envs.mujoco.")
    if spec is None or spec.id not in TASKS or not own or not all(type(e) is type(inner[0]) for e in inner):
        return None
    try:
        task = task_for(spec.id, TASKS[spec.id], inner[0], spec.kwargs)
    except ConfigError:  # a record that refuses these arguments
        return None
    return SideBySide(inner, task, threads or cores())


def _bare(env: gymnasium.Env) -> gymnasium.Env:
    """What is inside plain wrappers."""
    while isinstance(env, PLAIN):
        env = env.env
    return env


class SideBySide:
    """Environments that were reset, stepped together; see `side_by_side`, which makes it."""

    def __init__(self, envs: Sequence[MujocoEnv], task: Task, threads: int) -> None:
        self.task, self.frame_skip = task, envs[0].frame_skip
        self.low, self.high = envs[0].action_space.low, envs[0].action_space.high
        self.models, self.data = [e.model for e in envs], [e.data for e in envs]
        inside = task.inside or (lambda data: ())
        # Views: the simulator's own memory, read without a call each.
        self.views = [(d.qpos, d.qvel, *inside(d)) for d in self.data]
        self.threads, self.pool = threads, ThreadPoolExecutor(threads) if threads > 1 else None

    def step(self, rows: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of the environments `rows` [n] by action [n, A] in [-1, 1]: obs [n, O], reward, terminal [n].

        Raises MismatchError for actions of another size.
        """
        if action.shape != (len(rows), len(self.low)):  # numpy would spread one number over all joints
            raise MismatchError(
                f"actions of shape {action.shape} for {len(rows)} environments of {len(self.low)}"
            )
        return self.move(rows, to_native_scale(action.astype(np.float32, copy=False), self.low, self.high))

    def move(self, rows: np.ndarray, native: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`step` by actions [n, A] on the environments' own scale."""
        before = self._moment(rows)
        for row, control in zip(rows, native, strict=True):
            self.data[row].ctrl[:] = control
        self._simulate(rows)
        after = self._moment(rows)
        obs = self.task.layout.observe(np.concatenate([after.qpos, after.qvel], axis=-1))
        if self.task.extra is not None:
            obs = np.concatenate([obs, self.task.extra(after.inner)], axis=-1)
        return obs, self.task.reward(before, native, after), self.task.terminal(after)

    def _simulate(self, rows: np.ndarray) -> None:
        if self.pool is None:
            return self._run(rows)
        mine, *others = np.array_split(rows, min(self.threads, len(rows)))
        waiting = [self.pool.submit(self._run, part) for part in others]
        self._run(mine)
        for done in wait(waiting).done:
            done.result()

    def _run(self, rows: np.ndarray) -> None:
        for row in rows:
            mujoco.mj_step(self.models[row], self.data[row], self.frame_skip)

    def _moment(self, rows: np.ndarray) -> Moment:
        """Copies of where the environments are."""
        qpos, qvel, *inner = (np.stack(parts) for parts in zip(*(self.views[r] for r in rows), strict=True))
        return Moment(qpos, qvel, np.concatenate(inner, axis=-1) if inner else np.empty((len(rows), 0)))


class TeamsSideBySide:
    """Teams of agents, each sharing one robot, stepped together; see `side_by_side`, which makes it."""

    def __init__(self, robots: SideBySide, team: gymnasium.Env) -> None:
        self.robots, self.layout = robots, team.layout
        self.low, self.high = team.action_space.low, team.action_space.high
        self.action_mask, self.obs_mask = team.layout.action_mask().numpy(), team.layout.obs_mask().numpy()
        self.moved, self.seen = np.concatenate(team.moved), np.concatenate(team.seen)

    def step(self, rows: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As SideBySide has it, for actions [n, N, A] and with observations [n, N, O], padded with zeros."""
        if action.shape != (len(rows), *self.low.shape):
            raise MismatchError(f"actions of shape {action.shape} for {len(rows)} teams of {self.low.shape}")
        native = to_native_scale(action.astype(np.float32, copy=False), self.low, self.high)
        # A team puts its parts together in float64, and pays for those.
        whole = np.empty((len(rows), len(self.moved)))
        whole[:, self.moved] = native[:, self.action_mask]
        seen, reward, terminal = self.robots.move(rows, whole)
        obs = np.zeros((len(rows), *self.obs_mask.shape))
        obs[:, self.obs_mask] = seen[:, self.seen]
        return obs, reward, terminal
