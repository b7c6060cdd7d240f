"""Gymnasium environments as everything else here expects them: flat observations, actions in [-1, 1].

An environment of N agents has an attribute `layout` (mbrl.core.joint.Layout), observations [N, O] and actions
[N, A], padded with zeros; what a team's actions have in their padding is not handed on.
"""

import difflib
import importlib.metadata
import platform
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.spaces import Box

import mbrl
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.datasets.actions import to_native_scale
from mbrl.run import joint_envs

joint_envs.register()


class UnitActions(gymnasium.ActionWrapper):
    """Takes actions in [-1, 1], clipped there, and hands the environment its own scale.

    One wrapper for clipping and scaling, so that the reward of an action outside the bounds is the reward
    of the clipped one. MuJoCo clips controls by itself but charges their cost unclipped.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.low, self.high = env.action_space.low, env.action_space.high
        self.action_space = Box(-1.0, 1.0, self.low.shape, np.float32)
        layout = layout_of(env)
        self.padding = None if layout is None else ~layout.action_mask().numpy()

    def action(self, action: np.ndarray) -> np.ndarray:
        """Native action [A] or [N, A] for one in [-1, 1]; raises MismatchError for another number of entries."""
        action = np.asarray(action, dtype=np.float32)
        if action.shape != self.low.shape:  # numpy would spread one number over all joints
            raise MismatchError(f"an action of shape {action.shape} for an environment of {self.low.shape}")
        native = to_native_scale(action, self.low, self.high)
        if self.padding is not None:
            native[self.padding] = 0.0
        return native


def layout_of(env: gymnasium.Env) -> Layout | None:
    """The sizes of its agents; None for an environment of one agent."""
    layout = getattr(env.unwrapped, "layout", None)
    return layout if isinstance(layout, Layout) else None  # others may mean anything by the name


def make_native(spec: EnvSpec) -> gymnasium.Env:
    """The environment with its own action scale; raises ConfigError as `make_env` does."""
    _check_known(spec.id)
    try:
        with _quiet_versions():
            env = gymnasium.make(spec.id, disable_env_checker=True, **spec.kwargs)
    except TypeError as error:
        raise ConfigError(f"environment {spec.id} does not take {dict(spec.kwargs)}: {error}") from error
    except (ImportError, gymnasium.error.Error) as error:
        raise ConfigError(f"environment {spec.id} cannot be made here: {error}") from error
    problem = _space_problem(env)
    if problem:
        env.close()
        raise ConfigError(f"environment {spec.id}: {problem}")
    return env


def make_env(spec: EnvSpec) -> gymnasium.Env:
    """The environment of `spec`, taking actions in [-1, 1]; its own time limit included.

    Ids of packages that register themselves on import are written "package:Name-v0".
    Raises ConfigError for an unknown or unversioned id (with near matches), keyword arguments it does not
    take, a missing dependency, an action space that is discrete or unbounded, or an observation that is
    not a flat vector.
    """
    return UnitActions(make_native(spec))


def env_dims(spec: EnvSpec) -> tuple[int, int]:
    """(O, A) of the environment, padded where it has several agents."""
    env = make_env(spec)
    dims = env.observation_space.shape[-1], env.action_space.shape[-1]
    env.close()
    return dims


def env_layout(spec: EnvSpec) -> Layout | None:
    """The sizes of its agents; None for an environment of one agent."""
    env = make_env(spec)
    env.close()
    return layout_of(env)


def check_dims(spec: EnvSpec, obs_dim: int, action_dim: int, layout: Layout | None = None) -> None:
    """Raise MismatchError unless the environment has these dimensions, and agents of these sizes if several."""
    env = make_env(spec)
    env.close()
    theirs = layout_of(env)
    if _sizes(theirs) != _sizes(layout):
        raise MismatchError(
            f"environment {spec.id} {dict(spec.kwargs) or ''} has {_agents(theirs)}, but the data or model has "
            f"{_agents(layout)}; bind the environment it was recorded in, with its agent_obsk"
        )
    o, a = env.observation_space.shape[-1], env.action_space.shape[-1]
    if (o, a) != (obs_dim, action_dim):
        raise MismatchError(
            f"environment {spec.id} {dict(spec.kwargs) or ''} has obs of {o} and actions of {a} numbers, "
            f"but the data or model has {obs_dim} and {action_dim}; is it the right version (v4, v5)?"
        )


def max_steps(spec: EnvSpec) -> int | None:
    """Steps after which the environment itself cuts an episode; None where it has no limit."""
    env = make_env(spec)
    limit = env.spec.max_episode_steps
    env.close()
    return limit


def sim_state(env: gymnasium.Env) -> np.ndarray | None:
    """MuJoCo's state concat(qpos, qvel) [D] float64; None for other environments."""
    data = getattr(env.unwrapped, "data", None)
    if not isinstance(data, mujoco.MjData):
        return None
    return np.concatenate([data.qpos, data.qvel])


def set_sim_state(env: gymnasium.Env, state: np.ndarray) -> None:
    """Put a MuJoCo environment, reset before, into a state of `sim_state`."""
    nq = env.unwrapped.model.nq
    # The solver starts from its last solution: clear it, so that a step depends on the state alone.
    env.unwrapped.data.qacc_warmstart[:] = 0.0
    env.unwrapped.set_state(state[:nq], state[nq:])


def current_versions() -> dict[str, str]:
    """What this process runs on, as recorded in every dataset, model and result."""
    names = {"torch": torch.__version__, "numpy": np.__version__, "gymnasium": gymnasium.__version__}
    return {
        "python": platform.python_version(),
        **names,
        "mujoco": importlib.metadata.version("mujoco"),
        "mbrl": mbrl.__version__,
    }


def version_warnings(spec: EnvSpec) -> list[str]:
    """Reasons why `spec` here may not be the environment its data came from; empty if there are none."""
    recorded, here = spec.versions.get("mujoco"), current_versions()["mujoco"]
    if recorded is None or _minor(recorded) == _minor(here):
        return []
    message = f"{spec.id} was recorded with mujoco {recorded}, this is mujoco {here}"
    if (_minor(recorded) < (3, 5)) != (_minor(here) < (3, 5)):
        return [
            f"{message}: 3.5 changed contact margins, so Hopper and Ant move differently; "
            "returns are not comparable, install a mujoco of the same side"
        ]
    return [f"{message}: expect small differences"]


def _minor(version: str) -> tuple[int, int]:
    numbers = [*re.findall(r"\d+", version), "0", "0"]
    return int(numbers[0]), int(numbers[1])


def _sizes(layout: Layout | None) -> tuple[tuple[int, ...], ...] | None:
    """What must agree; agents may be called what they like."""
    return None if layout is None else (layout.obs_dims, layout.action_dims)


def _agents(layout: Layout | None) -> str:
    if layout is None:
        return "one agent"
    return f"{layout.agents} agents (obs {layout.obs_dims}, actions {layout.action_dims})"


def _check_known(env_id: str) -> None:
    """Raise ConfigError for ids the registry lacks; a "package:" prefix is imported by gymnasium itself."""
    name = env_id.rpartition(":")[2]
    if ":" in env_id or name in gymnasium.registry:
        return
    near = difflib.get_close_matches(name, gymnasium.registry, n=4, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    version = "" if re.search(r"-v\d+$", name) else "an id ends in its version, such as -v5; "
    raise ConfigError(
        f"unknown environment {env_id!r}; {hint}{version}"
        "environments of another package are written package:Name-v0"
    )


def _space_problem(env: gymnasium.Env) -> str:
    """What makes this environment unusable here, or an empty string."""
    action, obs, layout = env.action_space, env.observation_space, layout_of(env)
    if not isinstance(action, Box) or not np.issubdtype(action.dtype, np.floating):
        return f"actions are {action}; only continuous ones (a Box of floats) are supported"
    if layout is None and len(action.shape) != 1:
        return f"actions have shape {action.shape}; a flat vector is needed"
    if not (np.isfinite(action.low).all() and np.isfinite(action.high).all()):
        return f"actions are unbounded ({action}); bounds are needed to scale them to [-1, 1]"
    if not isinstance(obs, Box) or (layout is None and len(obs.shape) != 1):
        return f"observations are {obs}; a flat vector is needed (see gymnasium.wrappers.FlattenObservation)"
    return "" if layout is None else _layout_problem(layout, obs.shape, action.shape)


def _layout_problem(layout: Layout, obs: tuple[int, ...], action: tuple[int, ...]) -> str:
    """What makes a team's spaces no match for its layout, or an empty string."""
    wanted = (layout.agents, layout.obs_dim), (layout.agents, layout.action_dim)
    if (obs, action) == wanted:
        return ""
    return f"observations {obs} and actions {action}; its layout needs {wanted[0]} and {wanted[1]}, padded"


@contextmanager
def _quiet_versions() -> Iterator[None]:
    """Silence gymnasium's advice to move to a newer environment version: data are bound to theirs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*The environment \S+ is out of date", DeprecationWarning)
        yield
