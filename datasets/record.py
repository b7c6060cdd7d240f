"""What a file holds, before anything is decided about it: rows in time order, one column a numpy array."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mbrl.core.errors import DataError

# D4RL's names in files -> the fields of Record. The only table of foreign names.
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
OPTIONAL = tuple(key for key in KEYS if key not in REQUIRED)


@dataclass(frozen=True)
class Record:
    """Rows as recorded, in D4RL's columns; row i is one step of the environment, episodes follow one another.

    observations [N, O], actions [N, A], rewards [N], terminals [N] bool: the MDP ended at this row;
    timeouts [N] bool or None: only the record ended at this row; next_observations [N, O] or None: the true
    successor, also at the end of an episode; qpos [N, nq] and qvel [N, nv] or None: simulator state at
    `observations`.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray | None = None
    next_observations: np.ndarray | None = None
    qpos: np.ndarray | None = None
    qvel: np.ndarray | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.observations)

    def present(self) -> dict[str, np.ndarray]:
        """The columns that are there, by field name."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in columns.items() if value is not None}


def record_from(columns: Mapping[str, Any], where: str, keys: Iterable[str] | None = None) -> Record:
    """A Record from a mapping of D4RL's keys to arrays; other keys are left alone.

    keys: all the keys of the source, for the message, where `columns` holds only those of KEYS.
    Raises DataError, naming `where`, the key and what there is instead, if a required key is missing.
    """
    columns = {key: values for key, values in columns.items() if values is not None}
    missing = [key for key in REQUIRED if key not in columns]
    if missing:
        names = sorted(columns if keys is None else keys)
        raise DataError(
            f"{where}: no key {', '.join(map(repr, missing))}; it has {', '.join(names) or 'no keys at all'}. "
            + _hint(names)
        )
    return Record(**{name: _array(columns[key], key, where) for key, name in KEYS.items() if key in columns})


def _array(values: Any, key: str, where: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths, or nothing numpy knows
        raise DataError(f"{where}: {key} is not an array: {error}") from error


def _hint(names: list[str]) -> str:
    if {"done", "dones"} & set(names):
        return "A 'done' does not say whether the MDP or only the record ended: store terminals and timeouts."
    return f"Required are {', '.join(REQUIRED)}; optional are {', '.join(OPTIONAL)}."
