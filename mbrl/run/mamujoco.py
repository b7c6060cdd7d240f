"""Multi-agent MuJoCo (gymnasium-robotics' `mamujoco_v1`) as one environment with an axis of agents."""

import contextlib
import importlib.metadata
import io
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from mbrl.core.errors import MismatchError
from mbrl.core.joint import Layout

INSTALL = "pip install 'gymnasium-robotics>=1.4.2,<1.5'"
EXACT = ("HalfCheetah", "Hopper", "Ant", "Swimmer")
"""Robots whose agents see entries of the single agent's observation. Walker2d is none: its agents see velocities
unclipped. Neither are those for which the library has no mapping, or one that fails."""


class MaMuJoCo(gymnasium.Env):
    """A MuJoCo robot whose joints are divided among N agents (Peng et al. 2021), on Gymnasium's v5 robots.

    Observations [N, O] and actions [N, A] on the robot's own scale, zeros after each agent's own entries
    (`layout`). The reward is the robot's, once for the team, and so is its end. The time limit is left to
    registration. info: the robot's.

    scenario, agent_conf: as `mamujoco_v1.parallel_env` takes them. agent_obsk: how many joints away an agent sees.
    Other arguments are the robot's. Raises DependencyNotInstalled, naming the command, without gymnasium-robotics.

    seen: for each agent the entries of the single-agent observation that it sees [O_i] int64; None where agents
    see anything else. moved: for each agent the entries of the single-agent action that are its own [A_i] int64.
    versions: of the library, for the records.
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array"]}  # noqa: RUF012 (Gymnasium's form)

    def __init__(
        self,
        scenario: str,
        agent_conf: str,
        agent_obsk: int = 1,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        make = _library().parallel_env
        self.versions = {"gymnasium-robotics": importlib.metadata.version("gymnasium-robotics")}
        self.team = make(scenario, agent_conf, agent_obsk, render_mode=render_mode, **kwargs)
        # The robot alone: Gymnasium's checker costs time, and its limit would be a second one.
        self.robot = self.team.single_agent_env = self.team.single_agent_env.unwrapped
        self.scenario, self.agent_conf, self.render_mode = scenario, agent_conf, render_mode
        names = tuple(self.team.possible_agents)
        actions = {n: self.team.action_space(n) for n in names}
        sizes = [self.team.observation_space(n).shape[0] for n in names]
        self.layout = Layout(tuple(sizes), tuple(actions[n].shape[0] for n in names), names)
        self.observation_space = Box(-np.inf, np.inf, (len(names), max(sizes)), np.float64)
        low, high = (self._actions({n: getattr(actions[n], s) for n in names}) for s in ("low", "high"))
        self.action_space = Box(low, high, dtype=np.float32)
        order = self.team.map_global_action_to_local_actions(np.arange(self.robot.action_space.shape[0]))
        self.moved = [np.asarray(order[n], dtype=np.int64) for n in names]
        parts = self.team.observation_factorization if scenario in EXACT else None
        self.seen = None if parts is None else [np.asarray(parts[n], dtype=np.int64) for n in names]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Observation [N, O], and the robot's info; `seed` starts the robot where it would start alone."""
        super().reset(seed=seed)
        obs, info = self.team.reset(seed=seed, options=options)
        return self._observations(obs), info[self.layout.names[0]]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by action [N, A], whose padding is not read. Raises MismatchError for another shape."""
        if np.shape(action) != self.action_space.shape:
            raise MismatchError(
                f"actions of shape {np.shape(action)}; this team takes {self.action_space.shape}"
            )
        parts = zip(self.layout.names, action, self.layout.action_dims, strict=True)
        obs, reward, terminal, truncated, info = self.team.step({n: a[:size] for n, a, size in parts})
        first = self.layout.names[0]  # all agents are told the same
        return self._observations(obs), float(reward[first]), terminal[first], truncated[first], info[first]

    def global_obs(self) -> np.ndarray:
        """What a single agent that moves the whole robot sees now, [sum of its entries] float64."""
        return np.asarray(self.team.state())

    def split_action(self, action: np.ndarray) -> np.ndarray:
        """A single agent's action [sum A_i] as the team's [N, A]. Raises MismatchError for another size."""
        if np.shape(action) != self.robot.action_space.shape:
            raise MismatchError(
                f"an action of shape {np.shape(action)}; the robot takes {self.robot.action_space.shape}"
            )
        return self._actions(self.team.map_global_action_to_local_actions(action))

    @property
    def model(self) -> Any:
        """The robot's mujoco.MjModel."""
        return self.robot.model

    @property
    def data(self) -> Any:
        """The robot's mujoco.MjData."""
        return self.robot.data

    def set_state(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Put the robot into a state of its simulator."""
        self.robot.set_state(qpos, qvel)

    def render(self) -> Any:
        """The robot's picture, as render_mode asks."""
        return self.team.render()

    def close(self) -> None:
        """Release the robot's renderer."""
        self.team.close()

    def _observations(self, parts: Mapping[str, np.ndarray]) -> np.ndarray:
        return _padded([parts[n] for n in self.layout.names], self.layout.obs_dim, np.float64)

    def _actions(self, parts: Mapping[str, np.ndarray]) -> np.ndarray:
        return _padded([parts[n] for n in self.layout.names], self.layout.action_dim, np.float32)


def _padded(parts: list[np.ndarray], width: int, dtype: type) -> np.ndarray:
    """Rows of different lengths as one array [N, width], zeros at the end of each."""
    out = np.zeros((len(parts), width), dtype=dtype)
    for row, part in zip(out, parts, strict=True):
        row[: len(part)] = part
    return out


def _library() -> ModuleType:
    try:
        # On import it prints a notice about other environments of its.
        with contextlib.redirect_stderr(io.StringIO()):
            from gymnasium_robotics import mamujoco_v1
    except ImportError as error:
        raise gymnasium.error.DependencyNotInstalled(
            f"MaMuJoCo needs gymnasium-robotics ({error}): {INSTALL}"
        ) from error
    return mamujoco_v1
