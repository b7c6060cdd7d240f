"""One record an environment: how it shows its simulator state, what it pays, and when it ends.

To add an environment, write a builder `(env, **arguments) -> Task` and put it into TASKS under the environment's
id; docs/true_dynamics.md walks through it. A builder names the constructor arguments it honours and is given their
values, defaults included, from the environment itself. Others are refused, but for those in HARMLESS.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.dynamics.mujoco_batch import Inside
from mbrl.dynamics.mujoco_rewards import (
    Balance,
    Bounds,
    DoubleBalance,
    Forward,
    ForwardAlive,
    Moment,
    Reward,
    Rule,
    finite,
    never,
    within,
)
from mbrl.dynamics.state_layout import CLIP, Layout

RECIPE = "docs/true_dynamics.md shows how to add one"


@dataclass(frozen=True)
class Task:
    """One environment. The last three are for those where a state is not enough.

    inside: arrays of an MjData that a step leaves behind; with it rows are stepped one by one. fresh: what those
    would be at states [B, D] that were set rather than stepped to, [B, L]. extra: entries [B, .] of the
    observation after those that show the state, from what `inside` read.
    """

    layout: Layout
    reward: Reward
    terminal: Rule
    inside: Inside | None = None
    fresh: Callable[[np.ndarray], np.ndarray] | None = None
    extra: Callable[[np.ndarray], np.ndarray] | None = None


def half_cheetah(
    env: MujocoEnv,
    *,
    forward_reward_weight: float,
    ctrl_cost_weight: float,
    exclude_current_positions_from_observation: bool,
) -> Task:
    """HalfCheetah; v4 and v5 are the same."""
    layout = Layout(env.model.nq, env.model.nv, int(exclude_current_positions_from_observation))
    return Task(layout, Forward(env.dt, forward_reward_weight, ctrl_cost_weight), never)


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
        good = within(at.qpos[:, 1], healthy_z_range) & within(at.qpos[:, 2], healthy_angle_range)
        if healthy_state_range is not None:
            good &= within(at.qpos[:, 2:], healthy_state_range).all(-1)
            good &= within(at.qvel, healthy_state_range).all(-1)
        return good

    skipped = int(exclude_current_positions_from_observation)
    reward = ForwardAlive(
        env.dt,
        forward_reward_weight,
        ctrl_cost_weight,
        healthy_reward,
        paid and terminate_when_unhealthy,
        healthy,
        lambda at: at.qpos[:, 0],
    )
    ends = _unhealthy(healthy) if terminate_when_unhealthy else never
    return Task(Layout(env.model.nq, env.model.nv, skipped, clip=CLIP), reward, ends)


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
    """Ant without contact forces. Its velocity is the torso's as the last simulator step computed it."""
    _refuse_contact_forces(use_contact_forces, include_cfrc_ext_in_observation, contact_cost_weight)
    body = _free_body(env.model, main_body)

    def healthy(at: Moment) -> np.ndarray:
        z = at.qpos[:, 2]
        return finite(at) & (healthy_z_range[0] <= z) & (z <= healthy_z_range[1])

    skipped = 2 * int(exclude_current_positions_from_observation)
    reward = ForwardAlive(
        env.dt,
        forward_reward_weight,
        ctrl_cost_weight,
        healthy_reward,
        paid and terminate_when_unhealthy,
        healthy,
        lambda at: at.inner[:, 0],
    )
    return Task(
        Layout(env.model.nq, env.model.nv, skipped),
        reward,
        _unhealthy(healthy) if terminate_when_unhealthy else never,
        inside=lambda data: [data.xpos[body, :1]],
        fresh=lambda state: state[:, :1].copy(),
    )


def pendulum(env: MujocoEnv, *, paid: bool) -> Task:
    """InvertedPendulum: the observation is the state."""
    return Task(Layout(env.model.nq, env.model.nv), Balance(paid), Balance.fallen)


def double_pendulum(
    env: MujocoEnv, *, paid: bool, forces: int, healthy_reward: float = 10.0, xml_file: str = ""
) -> Task:
    """InvertedDoublePendulum: tip and forces as the last simulator step computed them; `forces` of them shown."""
    if xml_file not in ("", "inverted_double_pendulum.xml"):
        raise ConfigError(
            f"InvertedDoublePendulum with xml_file={xml_file!r}: poles of unknown length; {RECIPE}"
        )

    def tip(state: np.ndarray) -> np.ndarray:
        """Two poles of 0.6 m, the second angle counted from the first; forces, which no state tells, as 0."""
        first, second = state[:, 1], state[:, 1] + state[:, 2]
        inner = np.zeros((len(state), 3 + forces))
        inner[:, 0] = state[:, 0] + 0.6 * (np.sin(first) + np.sin(second))
        inner[:, 2] = 0.6 * (np.cos(first) + np.cos(second))
        return inner

    return Task(
        Layout(env.model.nq, env.model.nv, clip=CLIP, angles=2),
        DoubleBalance(healthy_reward, paid),
        DoubleBalance.fallen,
        inside=lambda data: [data.site_xpos[0], data.qfrc_constraint[:forces]],
        fresh=tip,
        extra=lambda inner: np.clip(inner[:, 3:], -CLIP, CLIP),
    )


def _unhealthy(healthy: Rule) -> Rule:
    return lambda at: ~healthy(at)


def _free_body(model: mujoco.MjModel, body: int | str) -> int:
    """The number of a body that moves freely by the model's first joint, so that its position is in qpos."""
    number = model.body(body).id
    joint = model.body_jntadr[number]
    if joint != 0 or model.jnt_type[0] != mujoco.mjtJoint.mjJNT_FREE:
        raise ConfigError(f"Ant with main_body={body!r}: only the torso, which moves freely, is known here")
    return number


def _refuse_contact_forces(used: bool | None, shown: bool, weight: float) -> None:
    """used: v4's argument, None in v5, which has the other two."""
    why = "contact forces are computed inside a step and no state holds them, so a start cannot be set"
    if used:
        raise ConfigError(f"Ant-v4 with use_contact_forces=True: {why}; leave it False, for 27 observations")
    if used is None and (shown or weight):
        raise ConfigError(
            f"Ant-v5 shows contact forces and pays for them: {why}; give it the arguments "
            "include_cfrc_ext_in_observation=False (27 observations) and contact_cost_weight=0, or take Ant-v4"
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

# The environment's own model is simulated for its own number of steps, whatever these are.
MODEL = {"xml_file", "frame_skip"}
PICTURE = {"default_camera_config", "render_mode", "width", "height", "camera_id", "camera_name"}
HARMLESS = MODEL | PICTURE | {"max_geom", "visual_options", "reset_noise_scale", "contact_force_range"}
"""Constructor arguments that a builder need not name."""


def builder(env_id: str) -> Callable[..., Task]:
    """TASKS[env_id]; raises ConfigError for an id it does not have."""
    if env_id not in TASKS:
        raise ConfigError(f"{unknown_name('environment for true dynamics', env_id, TASKS)}; {RECIPE}")
    return TASKS[env_id]


def task_for(env_id: str, build: Callable[..., Task], env: MujocoEnv, arguments: Mapping[str, Any]) -> Task:
    """The record of `env`, which was made with `arguments`.

    Raises ConfigError for arguments that neither the builder nor HARMLESS names, and for what the builder takes
    and the environment's constructor does not name.
    """
    own = inspect.signature(type(env).__init__).parameters.values()
    values = {p.name: p.default for p in own if p.default is not p.empty} | dict(arguments)
    wanted = [p for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    names = {p.name for p in wanted}
    if unknown := sorted(set(values) - names - HARMLESS):
        raise ConfigError(
            f"{env_id}: true dynamics do not know what {', '.join(unknown)} would change; "
            f"leave it out, or write a record that does ({RECIPE})"
        )
    if missing := [p.name for p in wanted if p.default is p.empty and p.name not in values]:
        raise ConfigError(
            f"{env_id}: its constructor does not name {', '.join(missing)}, which its builder in TASKS takes; "
            f"bind a value there ({RECIPE})"
        )
    return build(env, **{name: value for name, value in values.items() if name in names})
