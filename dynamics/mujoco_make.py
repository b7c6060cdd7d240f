"""The simulator of an environment: made with its arguments, and by a mujoco that moves as the recording one did."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium
import mujoco
from gymnasium.envs.mujoco import MujocoEnv

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.types import EnvSpec

MARGINS = (3, 5)
"""The mujoco version that changed contact margins: Hopper and Ant move differently on its two sides."""


def make_simulator(env: EnvSpec) -> tuple[MujocoEnv, Mapping[str, Any]]:
    """The environment without wrappers, and the arguments it was made with. Raises ConfigError if it cannot be."""
    try:
        with warnings.catch_warnings():
            # Data are bound to the version that recorded them: no advice to move on.
            warnings.filterwarnings("ignore", r".*The environment \S+ is out of date", DeprecationWarning)
            made = gymnasium.make(env.id, disable_env_checker=True, **env.kwargs)
    except (TypeError, ValueError, OSError, ImportError, gymnasium.error.Error) as error:
        raise ConfigError(f"environment {env.id} cannot be made with {dict(env.kwargs)}: {error}") from error
    return made.unwrapped, made.spec.kwargs


def check_version(env: EnvSpec) -> None:
    """Raise MismatchError if `env` was recorded with a mujoco on the other side of 3.5."""
    recorded, here = env.versions.get("mujoco"), mujoco.__version__
    if recorded is not None and (_minor(recorded) < MARGINS) != (_minor(here) < MARGINS):
        raise MismatchError(
            f"{env.id} was recorded with mujoco {recorded} and this is mujoco {here}: 3.5 changed contact margins, "
            "so the simulator here is not the recorded environment; install a mujoco of the same side"
        )


def _minor(version: str) -> tuple[int, int]:
    numbers = [*re.findall(r"\d+", version), "0", "0"]
    return int(numbers[0]), int(numbers[1])
