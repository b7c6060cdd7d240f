"""Which family of simulators joint data comes from: the same name of a task, in another family, is another task."""

import re

from mbrl.core.errors import MismatchError
from mbrl.core.types import EnvSpec

LINEAGES = {
    "mamujoco_v1": "gymnasium-robotics' mamujoco_v1, on Gymnasium's v5 robots",
    "mamujoco_v0": "gymnasium-robotics' older mamujoco_v0, on v4 robots and with other observations of Walker2d",
    "multiagent_mujoco": "schroederdewitt/multiagent_mujoco, on gym's v2 robots and mujoco 2.x or older",
    "game": "the one-step games of this project",
}
"""Families by name, in words. Any other environment is a family of its own, called as its id."""
UNKNOWN = "unknown_lineage"
"""In the id of joint data that does not say where it comes from."""


def lineage_of(env: EnvSpec | None) -> str | None:
    """The family that an environment's id puts it in; None without an environment.

    >>> lineage_of(EnvSpec("mamujoco/Hopper-3x1-v1")), lineage_of(EnvSpec("my_package:Convoy-v0"))
    ('mamujoco_v1', 'Convoy-v0')
    """
    if env is None:
        return None
    namespace, _, name = env.id.rpartition(":")[2].rpartition("/")
    version = re.search(r"-(v\d+)$", name)
    if namespace == "mamujoco" and version:
        return f"mamujoco_{version[1]}"
    return namespace if namespace in LINEAGES else name


def bound_lineage(recorded: str | None, recorded_env: EnvSpec | None, env: EnvSpec | None, where: str) -> str:
    """The lineage of joint data: `recorded` if it is said, else that of the environment.

    recorded_env: what the file says; env: what it is to be bound to. Raises MismatchError if these, or `recorded`,
    are of different lineages, or of one lineage but different tasks.
    """
    names = [n for n in (recorded, lineage_of(recorded_env)) if n]
    if len(set(names)) > 1:
        raise MismatchError(
            f"{where}: its id says {names[0]}, but it was recorded in {recorded_env.id} ({names[1]})"
        )
    came, goes = (names or [None])[0], lineage_of(env)
    if came and goes and came != goes:
        raise MismatchError(
            f"{where} was recorded in {_words(came)}; {env.id} is {_words(goes, 'of another kind')}. Observations, "
            f"rewards or physics differ, so returns there would say nothing: {_remedy(came, goes)}"
        )
    if env and recorded_env and env.id != recorded_env.id:
        raise MismatchError(
            f"{where} was recorded in {recorded_env.id}, not {env.id}: another robot or another division into "
            f"agents. Bind {recorded_env.id}, which is the default"
        )
    return came or goes or UNKNOWN


def lineage_in(id: str) -> str | None:
    """The lineage that an id names, if one of LINEAGES is among its parts."""
    return next((part for part in id.split("/") if part in LINEAGES), None)


def with_lineage(id: str, lineage: str) -> str:
    """The id with the lineage as its second part, unless it names it already.

    >>> with_lineage("local/hopper", "mamujoco_v1"), with_lineage("game/twin_peaks/uniform", "game")
    ('local/mamujoco_v1/hopper', 'game/twin_peaks/uniform')
    """
    first, *rest = id.split("/")
    return id if lineage in (first, *rest) else "/".join([first, lineage, *rest])


def _words(lineage: str, otherwise: str = "") -> str:
    return f"{lineage} ({LINEAGES[lineage]})" if lineage in LINEAGES else otherwise or lineage


def _remedy(came: str, goes: str) -> str:
    right = "mamujoco/<task>-v1" if came == "mamujoco_v1" else None
    if right:
        return f"bind {right}, or record data in the other environment with scripts/collect.py"
    return f"leave env out, and nothing is evaluated, or use data of {goes} (scripts/collect.py records some)"
