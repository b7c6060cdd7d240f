"""What a file holds, before anything is decided about it: rows in time order, one column a numpy array."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mbrl.core.errors import DataError

Array = np.ndarray

# D4RL's names in files -> the fields below. The only table of foreign names.
KEYS = {
    "observations": "observations",
    "actions": "actions",
    "rewards": "rewards",
    "terminals": "terminals",
    "timeouts": "timeouts",
    "next_observations": "next_observations",
    "infos/qpos": "qpos",
    "infos/qvel": "qvel",
}
REQUIRED = ("observations", "actions", "rewards", "terminals")


@dataclass(frozen=True)
class Record:
    """Rows as recorded, in D4RL's columns; row i is one step of the environment, episodes follow one another.

    observations [N, O], actions [N, A], rewards [N], terminals [N] bool: the MDP ended at this row;
    timeouts [N] bool or None: only the record ended at this row; next_observations [N, O] or None: the true
    successor, also at the end of an episode; qpos [N, nq] and qvel [N, nv] or None: simulator state at
    `observations`.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminals: Array
    timeouts: Array | None = None
    next_observations: Array | None = None
    qpos: Array | None = None
    qvel: Array | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.rewards)

    def present(self) -> dict[str, Array]:
        """The columns that are there, by field name."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in columns.items() if value is not None}


def record_from(columns: Mapping[str, Any], where: str) -> Record:
    """A Record from a mapping of D4RL's keys ("infos/qpos" or "qpos") to arrays; keys it does not know are left.

    Raises DataError, naming `where`, the key and what there is instead, if a required key is missing.
    """
    found = {}
    for key, name in KEYS.items():
        value = columns.get(key, columns.get(name))
        if value is not None:
            found[name] = np.asarray(value)
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise DataError(
            f"{where}: no key {' or '.join(map(repr, missing))}; it has {_listed(columns)}.{_hint(columns)}"
        )
    return Record(**found)


def _listed(columns: Mapping[str, Any]) -> str:
    return ", ".join(sorted(columns)) or "no keys at all"


def _hint(columns: Mapping[str, Any]) -> str:
    if {"done", "dones"} & set(columns):
        return (
            " A 'done' does not say whether the MDP or only the record ended: store terminals and timeouts."
        )
    return f" Required are {', '.join(REQUIRED)}; timeouts, next_observations, infos/qpos, infos/qvel are optional."
