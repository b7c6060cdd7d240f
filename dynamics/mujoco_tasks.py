"""What each environment shows, pays and ends at, from simulator states: one small record an environment.

Written after gymnasium/envs/mujoco (1.x), in its order of operations, so that numbers agree to the last bits. To
add an environment, write a builder `(env, **arguments) -> Task` and put it into TASKS under the environment's
id; docs/true_dynamics.md walks through it. A builder names the constructor arguments it honours and takes their
values, defaults included, from the environment itself; arguments it does not name are refused, but for HARMLESS.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.dynamics.mujoco_batch import Inside
from mbrl.dynamics.state_layout import CLIP, Layout

RECIPE = "docs/true_dynamics.md shows how to add one"
Bounds = tuple[float, float]


class Moment(NamedTuple):
    """A simulator at one time, many rows: qpos [B, nq], qvel [B, nv], and what was computed inside the step that
    led here, inner [B, L] (see Task.inside)."""

    qpos: np.ndarray
    qvel: np.ndarray
    inner: np.ndarray


Judge = Callable[[Moment, np.ndarray, Moment], tuple[np.ndarray, np.ndarray]]
"""(before, action [B, A] float32 on the environment's own scale, after) -> reward and terminal [B]."""


@dataclass(frozen=True)
class Task:
    """One environment: how it shows the state, its judge, and, where a state is not enough, what else it reads.

    inside: arrays of an MjData, as they are after a step; with it rows are stepped one by one. fresh: what they
    would be at states [B, D] that were set rather than stepped to. extra: entries of the observation after those
    that show the state, from `inner`.
    """

    layout: Layout
    judge: Judge
    inside: Inside | None = None
    fresh: Callable[[np.ndarray], np.ndarray] | None = None
    extra: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Runner:
    """HalfCheetah: forward velocity minus control cost; it never ends."""

    dt: float
    forward: float
    cost: float

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> tuple[np.ndarray, np.ndarray]:
        velocity = (after.qpos[:, 0] - before.qpos[:, 0]) / self.dt
        reward = self.forward * velocity - self.cost * squares(action)
        return reward, np.zeros(len(reward), dtype=bool)


@dataclass(frozen=True)
class Alive:
    """Forward velocity and a reward for health, minus control cost: Hopper, Walker2d and Ant.

    position: the coordinate whose change is rewarded; healthy: which rows are. ends: an unhealthy row is
    terminal. paid: the last, unhealthy row is paid for health too (v4, unless rows do not end; v5 never).
    """

    dt: float
    forward: float
    cost: float
    bonus: float
    healthy: Callable[[Moment], np.ndarray]
    position: Callable[[Moment], np.ndarray]
    ends: bool
    paid: bool

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> tuple[np.ndarray, np.ndarray]:
        velocity = (self.position(after) - self.position(before)) / self.dt
        healthy = self.healthy(after)
        bonus = self.bonus * (healthy | (self.paid and self.ends))
        reward = (self.forward * velocity + bonus) - self.cost * squares(action)
        return reward, ~healthy & self.ends


@dataclass(frozen=True)
class Balance:
    """InvertedPendulum: 1 a step, |angle| > 0.2 rad ends; paid: the last step too (v4)."""

    paid: bool
    angle: float = 0.2

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> tuple[np.ndarray, np.ndarray]:
        finite = np.isfinite(after.qpos).all(-1) & np.isfinite(after.qvel).all(-1)
        terminal = ~finite | (np.abs(after.qpos[:, 1]) > self.angle)
        return (~terminal | self.paid).astype(np.float64), terminal


@dataclass(frozen=True)
class DoubleBalance:
    """InvertedDoublePendulum: bonus minus the tip's distance from (0, 2 m) and the poles' speeds; 1 m high ends.

    inner: the tip's x, y, z, then constraint forces. paid: the last step's bonus, too (v4).
    """

    bonus: float
    paid: bool

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> tuple[np.ndarray, np.ndarray]:
        x, height = after.inner[:, 0], after.inner[:, 2]
        v1, v2 = after.qvel[:, 1], after.qvel[:, 2]
        terminal = height <= 1
        distance = 0.01 * x**2 + (height - 2) ** 2
        speed = 0.001 * v1**2 + 0.005 * v2**2
        return self.bonus * (~terminal | self.paid) - distance - speed, terminal


def squares(action: np.ndarray) -> np.ndarray:
    """sum of a^2 [B], in the float32 of the action, as the environments compute it."""
    return np.square(action).sum(-1)


def inside(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    """low < x < high; False for NaN."""
    return (bounds[0] < x) & (x < bounds[1])


def _root_x(moment: Moment) -> np.ndarray:
    return moment.qpos[:, 0]


def half_cheetah(
    env: MujocoEnv,
    *,
    forward_reward_weight: float,
    ctrl_cost_weight: float,
    exclude_current_positions_from_observation: bool,
) -> Task:
    """HalfCheetah v4 and v5, which are the same."""
    layout = Layout(env.model.nq, env.model.nv, int(exclude_current_positions_from_observation))
    return Task(layout, Runner(env.dt, forward_reward_weight, ctrl_cost_weight))


def upright(
    env: MujocoEnv,
    *,
    paid: bool,
    forward_reward_weight: float,
    ctrl_cost_weight: float,
    healthy_reward: float,
    terminate_when_unhealthy: bool,
    healthy_z_range: Bounds,
    healthy_angle_range: Bounds,
    exclude_current_positions_from_observation: bool,
    healthy_state_range: Bounds | None = None,
) -> Task:
    """Hopper (which alone bounds the state) and Walker2d: height and angle strictly inside their bounds."""

    def healthy(at: Moment) -> np.ndarray:
        good = inside(at.qpos[:, 1], healthy_z_range) & inside(at.qpos[:, 2], healthy_angle_range)
        if healthy_state_range is None:
            return good
        within = (inside(x, healthy_state_range).all(-1) for x in (at.qpos[:, 2:], at.qvel))
        return good & next(within) & next(within)

    layout = Layout(env.model.nq, env.model.nv, int(exclude_current_positions_from_observation), clip=CLIP)
    judge = Alive(
        env.dt,
        forward_reward_weight,
        ctrl_cost_weight,
        healthy_reward,
        healthy,
        _root_x,
        terminate_when_unhealthy,
        paid,
    )
    return Task(layout, judge)


def ant(
    env: MujocoEnv,
    *,
    paid: bool,
    ctrl_cost_weight: float,
    contact_cost_weight: float,
    healthy_reward: float,
    terminate_when_unhealthy: bool,
    healthy_z_range: Bounds,
    exclude_current_positions_from_observation: bool,
    forward_reward_weight: float = 1.0,
    use_contact_forces: bool | None = None,
    include_cfrc_ext_in_observation: bool = False,
    main_body: int | str = 1,
) -> Task:
    """Ant without contact forces. Its velocity is that of the torso as the last simulator step computed it."""
    _refuse_contact_forces(use_contact_forces, include_cfrc_ext_in_observation, contact_cost_weight)
    body = env.model.body(main_body).id
    joint = env.model.body_jntadr[body]
    if joint < 0 or env.model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE or env.model.jnt_qposadr[joint]:
        raise ConfigError(
            f"Ant with main_body={main_body!r}: only the torso, which moves freely, is known here"
        )

    def healthy(at: Moment) -> np.ndarray:
        finite = np.isfinite(at.qpos).all(-1) & np.isfinite(at.qvel).all(-1)
        return finite & (healthy_z_range[0] <= at.qpos[:, 2]) & (at.qpos[:, 2] <= healthy_z_range[1])

    skipped = 2 if exclude_current_positions_from_observation else 0
    judge = Alive(
        env.dt,
        forward_reward_weight,
        ctrl_cost_weight,
        healthy_reward,
        healthy,
        lambda at: at.inner[:, 0],
        terminate_when_unhealthy,
        paid,
    )
    return Task(
        Layout(env.model.nq, env.model.nv, skipped),
        judge,
        inside=lambda data: [data.xpos[body, :1]],
        fresh=lambda state: state[:, :1].copy(),
    )


def _refuse_contact_forces(use: bool | None, shown: bool, weight: float) -> None:
    why = "contact forces are computed inside a step and no state holds them, so a start cannot be set"
    if use:
        raise ConfigError(
            f"Ant-v4 with use_contact_forces=True: {why}; true dynamics need it False (27-dim obs)"
        )
    if use is None and (shown or weight):
        raise ConfigError(
            f"Ant-v5 shows contact forces or pays for them, and {why}; true dynamics need env kwargs "
            "include_cfrc_ext_in_observation=False (27-dim obs) and contact_cost_weight=0, or Ant-v4"
        )


def pendulum(env: MujocoEnv, *, paid: bool) -> Task:
    """InvertedPendulum: the observation is the state."""
    return Task(Layout(env.model.nq, env.model.nv), Balance(paid))


def double_pendulum(env: MujocoEnv, *, paid: bool, forces: int, healthy_reward: float = 10.0) -> Task:
    """InvertedDoublePendulum: tip and forces as the last simulator step computed them; `forces` of them shown."""
    return Task(
        Layout(env.model.nq, env.model.nv, clip=CLIP, angles=env.model.nq - 1),
        DoubleBalance(healthy_reward, paid),
        inside=lambda data: [data.site_xpos[0], data.qfrc_constraint[:forces]],
        fresh=lambda state: np.zeros((len(state), 3 + forces)),
        extra=lambda inner: np.clip(inner[:, 3:], -CLIP, CLIP),
    )


TASKS: dict[str, Callable[..., Task]] = {
    "HalfCheetah-v4": half_cheetah,
    "HalfCheetah-v5": half_cheetah,
    "Hopper-v4": partial(upright, paid=True),
    "Hopper-v5": partial(upright, paid=False),
    "Walker2d-v4": partial(upright, paid=True),
    "Walker2d-v5": partial(upright, paid=False),
    "Ant-v4": partial(ant, paid=True),
    "Ant-v5": partial(ant, paid=False),
    "InvertedPendulum-v4": partial(pendulum, paid=True),
    "InvertedPendulum-v5": partial(pendulum, paid=False),
    "InvertedDoublePendulum-v4": partial(double_pendulum, paid=True, forces=3),
    "InvertedDoublePendulum-v5": partial(double_pendulum, paid=False, forces=1),
}
"""Builder of each environment by its id; add your own here."""

HONOURED = {"xml_file", "frame_skip"}  # what is simulated is the environment's own model, for its own steps
PICTURE = {"default_camera_config", "render_mode", "width", "height", "camera_id", "camera_name"}
HARMLESS = HONOURED | PICTURE | {"max_geom", "visual_options", "reset_noise_scale", "contact_force_range"}
"""Constructor arguments that a builder need not name."""


def task_for(env_id: str, env: MujocoEnv, arguments: Mapping[str, Any]) -> Task:
    """The record of `env`, made with `arguments`. Raises ConfigError for an unknown id or unknown arguments."""
    if env_id not in TASKS:
        raise ConfigError(f"{unknown_name('environment for true dynamics', env_id, TASKS)}; {RECIPE}")
    build, values = TASKS[env_id], constructor_defaults(type(env)) | dict(arguments)
    known = inspect.signature(build).parameters
    if unknown := sorted(set(values) - set(known) - HARMLESS):
        raise ConfigError(
            f"{env_id}: true dynamics do not know what {', '.join(unknown)} would change; "
            f"leave it out, or write a record for it ({RECIPE})"
        )
    return build(env, **{name: value for name, value in values.items() if name in known})


def constructor_defaults(cls: type) -> dict[str, Any]:
    """Default values of the constructor's named arguments."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
