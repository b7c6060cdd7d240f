"""When an episode ends, known for each environment *version*: the same flag as Gymnasium's `terminated`.

A Termination is any function (obs, action, next_obs) -> terminal [..., B] bool, so a user's own function, a
learned head (learned_termination.py) or `never` serve in the same place. The rules here read next_obs alone.

Each follows its environment's source (gymnasium/envs/mujoco, 1.x) to the NaN: where the environment calls
a NaN unhealthy so does the rule, where it never ends neither does the rule (a model must watch for non-finite
predictions itself). v4 and v5 end alike; they differ in rewards and observations. What next_obs does not show:
- float32 observations round, so a value within 1e-7 of a threshold may fall on its other side;
- Hopper checks velocities against (-100, 100) *before* the observation clips them to +-10;
- Ant checks that x and y are finite, which the observation omits by default;
- InvertedDoublePendulum reads a tip height computed inside the last simulator substep, within 1 mm of the
  returned state's under a random policy, within centimetres at wild speeds.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import EnvSpec, Termination

Bounds = tuple[float, float]
HINT = "pass your own function (obs, action, next_obs) -> terminal, or choose 'learned' or 'none'"


def never(obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
    """No state is terminal: [..., B] False."""
    return torch.zeros(next_obs.shape[:-1], dtype=torch.bool, device=next_obs.device)


@dataclass(frozen=True)
class Pendulum:
    """InvertedPendulum: |angle| > 0.2 rad or anything not finite; obs = (x, angle, velocities)."""

    max_angle: float = 0.2

    def __call__(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
        """Terminal [..., B]."""
        return ~next_obs.isfinite().all(-1) | (next_obs[..., 1].abs() > self.max_angle)


@dataclass(frozen=True)
class DoublePendulum:
    """InvertedDoublePendulum: tip height <= 1 m; obs = (x, sin a, sin b, cos a, cos b, ...), links of 0.6 m.

    b is measured from the first link, so the tip is at 0.6 cos a + 0.6 cos(a + b).
    """

    min_height: float = 1.0
    link: float = 0.6

    def __call__(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
        """Terminal [..., B]."""
        sin_a, sin_b, cos_a, cos_b = next_obs[..., 1:5].unbind(-1)
        height = self.link * (cos_a + cos_a * cos_b - sin_a * sin_b)
        return height <= self.min_height


@dataclass(frozen=True)
class Upright:
    """Hopper and Walker2d: height and torso angle strictly inside their bounds; Hopper also bounds every
    entry after the height. `first` is the column of the height."""

    z: Bounds
    angle: Bounds
    state: Bounds | None = None
    first: int = 0

    def __call__(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
        """Terminal [..., B]."""
        healthy = _between(next_obs[..., self.first], self.z)
        healthy &= _between(next_obs[..., self.first + 1], self.angle)
        if self.state is not None:
            healthy &= _between(next_obs[..., self.first + 1 :], self.state).all(-1)
        return ~healthy


@dataclass(frozen=True)
class Quadruped:
    """Ant: height inside its closed bounds and the state finite; contact forces after it are ignored."""

    z: Bounds = (0.2, 1.0)
    first: int = 0
    state_size: int = 27

    def __call__(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
        """Terminal [..., B]."""
        z = next_obs[..., self.first]
        healthy = next_obs[..., : self.state_size].isfinite().all(-1)
        return ~(healthy & (z >= self.z[0]) & (z <= self.z[1]))


def _between(x: Tensor, bounds: Bounds) -> Tensor:
    """low < x < high; False for NaN."""
    return (x > bounds[0]) & (x < bounds[1])


# Builders: keyword arguments as in the environment's constructor -> the rule. Only those that matter to it.


def _hopper(
    *,
    terminate_when_unhealthy: bool = True,
    healthy_state_range: Bounds = (-100.0, 100.0),
    healthy_z_range: Bounds = (0.7, math.inf),
    healthy_angle_range: Bounds = (-0.2, 0.2),
    exclude_current_positions_from_observation: bool = True,
    xml_file: str = "",
) -> Termination:
    first = 0 if exclude_current_positions_from_observation else 1
    rule = Upright(
        _bounds(healthy_z_range), _bounds(healthy_angle_range), _bounds(healthy_state_range), first
    )
    return rule if terminate_when_unhealthy else never


def _walker2d(
    *,
    terminate_when_unhealthy: bool = True,
    healthy_z_range: Bounds = (0.8, 2.0),
    healthy_angle_range: Bounds = (-1.0, 1.0),
    exclude_current_positions_from_observation: bool = True,
    xml_file: str = "",
) -> Termination:
    first = 0 if exclude_current_positions_from_observation else 1
    rule = Upright(_bounds(healthy_z_range), _bounds(healthy_angle_range), None, first)
    return rule if terminate_when_unhealthy else never


def _ant(
    *,
    terminate_when_unhealthy: bool = True,
    healthy_z_range: Bounds = (0.2, 1.0),
    exclude_current_positions_from_observation: bool = True,
    use_contact_forces: bool = False,
    include_cfrc_ext_in_observation: bool = True,
    xml_file: str = "ant.xml",
) -> Termination:
    if xml_file != "ant.xml":
        raise ConfigError(f"Ant with xml_file={xml_file!r} has a state of unknown size; {HINT}")
    first = 0 if exclude_current_positions_from_observation else 2
    rule = Quadruped(_bounds(healthy_z_range), first, 27 + first)
    return rule if terminate_when_unhealthy else never


def _double_pendulum(*, xml_file: str = "inverted_double_pendulum.xml") -> Termination:
    if xml_file != "inverted_double_pendulum.xml":
        raise ConfigError(
            f"InvertedDoublePendulum with xml_file={xml_file!r} has links of unknown length; {HINT}"
        )
    return DoublePendulum()


def _pendulum(*, xml_file: str = "") -> Termination:
    return Pendulum()


def _half_cheetah(
    *, exclude_current_positions_from_observation: bool = True, xml_file: str = ""
) -> Termination:
    return never


def _bounds(pair: Any) -> Bounds:
    """A pair of floats, also from a list as JSON and YAML give it."""
    low, high = pair
    return float(low), float(high)


BUILDERS: dict[str, Callable[..., Termination]] = {
    f"{name}-{version}": build
    for version in ("v4", "v5")
    for name, build in {
        "Ant": _ant,
        "HalfCheetah": _half_cheetah,
        "Hopper": _hopper,
        "InvertedDoublePendulum": _double_pendulum,
        "InvertedPendulum": _pendulum,
        "Walker2d": _walker2d,
    }.items()
}

TERMINATIONS: dict[str, Termination] = {env_id: build() for env_id, build in BUILDERS.items()}
"""Rule of each environment with its default arguments."""

REWARDS = {"forward_reward_weight", "ctrl_cost_weight", "contact_cost_weight", "healthy_reward"}
MOTION = {"contact_force_range", "reset_noise_scale", "frame_skip", "main_body", "max_episode_steps"}
PICTURE = {"default_camera_config", "render_mode", "width", "height", "camera_id", "camera_name"}
PICTURE_V5 = {"max_geom", "visual_options"}
HARMLESS = REWARDS | MOTION | PICTURE | PICTURE_V5
"""Constructor arguments that do not touch the end of an episode."""


def termination_for(env: EnvSpec) -> Termination:
    """The rule of `env`, its constructor arguments honoured (healthy ranges, terminate_when_unhealthy, ...).

    Raises ConfigError for an environment without a rule, with the nearest names, and for an argument of
    which it is not known whether it moves the end of an episode.
    """
    if env.id not in BUILDERS:
        raise ConfigError(f"{unknown_name('environment for a termination rule', env.id, BUILDERS)}; {HINT}")
    build = BUILDERS[env.id]
    return build(**_relevant(env.id, env.kwargs, inspect.signature(build).parameters))


def _relevant(env_id: str, kwargs: Mapping[str, Any], understood: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments the builder takes; ConfigError for one that is neither understood nor harmless."""
    for name in kwargs:
        if name not in understood and name not in HARMLESS:
            raise ConfigError(f"{env_id}: no termination rule known with argument {name!r}; {HINT}")
    return {k: v for k, v in kwargs.items() if k in understood}
