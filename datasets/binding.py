"""Which environment a dataset belongs to."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.types import EnvSpec

# D4RL recorded in gym's v2 classes, which Gymnasium's v4 reproduces (v5 changed Walker2d's friction, Hopper's
# terminal reward and Ant's observation). Ant's 111 observations include contact forces.
_GYMNASIUM = {
    "halfcheetah": EnvSpec("HalfCheetah-v4"),
    "hopper": EnvSpec("Hopper-v4"),
    "walker2d": EnvSpec("Walker2d-v4"),
    "ant": EnvSpec("Ant-v4", {"use_contact_forces": True}),
}

# (O, A) of environments as they come, without arguments.
_DIMS = {
    "HalfCheetah-v4": (17, 6),
    "HalfCheetah-v5": (17, 6),
    "Hopper-v4": (11, 3),
    "Hopper-v5": (11, 3),
    "Walker2d-v4": (17, 6),
    "Walker2d-v5": (17, 6),
    "Ant-v4": (27, 8),
    "Ant-v5": (105, 8),
    "Humanoid-v5": (348, 17),
    "HumanoidStandup-v5": (348, 17),
    "Swimmer-v5": (8, 2),
    "Reacher-v5": (10, 2),
    "Pusher-v5": (23, 7),
    "InvertedPendulum-v4": (4, 1),
    "InvertedPendulum-v5": (4, 1),
    "InvertedDoublePendulum-v5": (9, 1),
}
_DIMS_WITH_KWARGS = {"Ant-v4": ({"use_contact_forces": True}, (111, 8))}


def d4rl_env(name: str) -> EnvSpec | None:
    """The Gymnasium environment for a D4RL dataset's name; None where there is no faithful one."""
    return _GYMNASIUM.get(name.split("-", 1)[0])


def env_from_attributes(attributes: Mapping[str, Any], where: str) -> EnvSpec | None:
    """From a file's attributes env_id, env_kwargs and versions (both JSON objects); None without env_id."""
    if "env_id" not in attributes:
        return None
    return EnvSpec(
        text(attributes["env_id"]),
        _json_object(attributes, "env_kwargs", where),
        {k: str(v) for k, v in _json_object(attributes, "versions", where).items()},
    )


def bind(recorded: EnvSpec | None, asked: EnvSpec | None) -> tuple[EnvSpec | None, list[str]]:
    """The environment asked for, else the recorded one, with the recorder's versions; notes where they differ."""
    if asked is None or recorded is None:
        return asked or recorded, []
    notes = []
    if (asked.id, dict(asked.kwargs)) != (recorded.id, dict(recorded.kwargs)):
        notes.append(
            f"recorded in {recorded.id} {dict(recorded.kwargs) or ''}, bound to {asked.id} "
            f"{dict(asked.kwargs) or ''} as asked: dynamics and rewards may differ"
        )
    return replace(asked, versions=asked.versions or recorded.versions), notes


def check_dims(env: EnvSpec | None, obs_dim: int, action_dim: int, where: str) -> None:
    """Raise MismatchError if a known environment has other dimensions than the data; others are not judged here."""
    if env is None:
        return
    dims = _DIMS.get(env.id) if not env.kwargs else None
    if env.id in _DIMS_WITH_KWARGS and dict(env.kwargs) == _DIMS_WITH_KWARGS[env.id][0]:
        dims = _DIMS_WITH_KWARGS[env.id][1]
    if dims is not None and dims != (obs_dim, action_dim):
        raise MismatchError(
            f"{where}: observations have {obs_dim} and actions {action_dim} columns, but {env.id} has "
            f"{dims[0]} and {dims[1]}; bind the environment the data was recorded in"
        )


def step_limit(env: EnvSpec | None) -> int | None:
    """max_episode_steps of the environment's arguments or of its registration with Gymnasium, if known."""
    if env is None:
        return None
    if "max_episode_steps" in env.kwargs:
        limit = env.kwargs["max_episode_steps"]
        if type(limit) is not int:
            raise DataError(f"{env.id}: max_episode_steps is {limit!r}; a whole number is needed")
        return limit
    import gymnasium  # slow to import, and needed only here

    registered = gymnasium.registry.get(env.id)
    return None if registered is None else registered.max_episode_steps


def text(value: Any) -> str:
    """An attribute as str, however the writer stored it. Raises DataError for arrays and bytes that are no text."""
    try:
        if hasattr(value, "item"):
            value = value.item()
        return value.decode() if isinstance(value, bytes) else str(value)
    except ValueError as error:
        raise DataError(f"an attribute is {value!r:.80}, which is no text: {error}") from error


def _json_object(attributes: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    if key not in attributes:
        return {}
    raw = text(attributes[key])
    try:
        value = json.loads(raw or "{}")
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: attribute {key} is not JSON: {raw!r}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: attribute {key} is {raw!r}; expected a JSON object")
    return value


def pinned_versions(requirements: list[str]) -> dict[str, str]:
    """{"mujoco": "3.2.3"} from ["mujoco==3.2.3", "gymnasium>=1.0"]: only what is pinned is known."""
    matches = (re.fullmatch(r"\s*([\w.-]+)\s*==\s*([\w.+!-]+)\s*", r) for r in requirements)
    return {m[1]: m[2] for m in matches if m}
