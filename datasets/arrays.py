"""Plain arrays, in memory or in an npz file: the way in for data of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mbrl.core.joint import Layout
from mbrl.core.npz import read_npz_arrays
from mbrl.datasets.assemble import assemble
from mbrl.datasets.binding import env_from_attributes, text
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.digest import file_sha256
from mbrl.datasets.joint import ATTRIBUTE, flat_columns, layout_from
from mbrl.datasets.locate import checked_id, existing_file, local_id
from mbrl.datasets.record import KEYS, record_from

_ATTRIBUTES = ("env_id", "env_kwargs", "versions", "behaviour", "dataset_id", ATTRIBUTE)


def from_arrays(
    observations: ArrayLike,
    actions: ArrayLike,
    rewards: ArrayLike,
    terminals: ArrayLike,
    timeouts: ArrayLike | None = None,
    next_observations: ArrayLike | None = None,
    qpos: ArrayLike | None = None,
    qvel: ArrayLike | None = None,
    *,
    id: str = "local/arrays",
    **options: Any,
) -> OfflineDataset:
    """A dataset from arrays of rows in time order, episodes one after another, as in `record.Record`.

    Give timeouts (last row of each episode that did not end in a terminal) or, failing that, max_episode_steps;
    give next_observations if you have them, else the last row of a timed-out episode is lost. The arrays are
    copied. options: see `assemble`, env=EnvSpec(...) first of all.

    Raises DataError naming the array and row at fault.
    """
    columns = {
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "terminals": terminals,
        "timeouts": timeouts,
        "next_observations": next_observations,
        "infos/qpos": qpos,
        "infos/qvel": qvel,
    }
    return assemble(record_from(columns, id), id=checked_id(id), **options)


def from_joint_arrays(
    observations: ArrayLike | Sequence[ArrayLike],
    actions: ArrayLike | Sequence[ArrayLike],
    rewards: ArrayLike,
    terminals: ArrayLike,
    timeouts: ArrayLike | None = None,
    next_observations: ArrayLike | Sequence[ArrayLike] | None = None,
    qpos: ArrayLike | None = None,
    qvel: ArrayLike | None = None,
    *,
    layout: Layout | None = None,
    id: str = "local/arrays",
    **options: Any,
) -> OfflineDataset:
    """`from_arrays` for several agents, with one reward and one end for all of them.

    observations, actions, next_observations: a list of one array [B, size] an agent; or one array [B, N, size]
    with zeros after each agent's own entries and `layout` to say how many these are (not needed where all agents
    have the same sizes). options: see `assemble`; without env=EnvSpec(...) give lineage=, a part of the id.

    Raises DataError naming the array, agent and row at fault, and MismatchError for an environment of another
    lineage.
    """
    layout, obs, action, next_obs = flat_columns(observations, actions, next_observations, layout, id)
    rest = (rewards, terminals, timeouts, next_obs, qpos, qvel)
    return from_arrays(obs, action, *rest, id=id, layout=layout, **options)


def read_npz(path: str | Path, *, id: str | None = None, **options: Any) -> OfflineDataset:
    """The dataset in an npz file with the keys of `read_hdf5`; qpos and qvel also without "infos/".

    env_id, env_kwargs, versions, behaviour, dataset_id and agents may be strings among the keys. Nothing is
    unpickled.
    Raises DataError, with the file and key, for a file that is not npz, damaged, or without usable data.
    """
    path = existing_file(path)
    columns, keys = _read(path)
    attributes = {key: columns.pop(key) for key in _ATTRIBUTES if key in columns}
    name = text(attributes.get("dataset_id", "")) or path.stem
    return assemble(
        record_from(columns, str(path), keys),
        id=local_id(name) if id is None else checked_id(id),
        where=str(path),
        sha256=file_sha256(path),
        recorded_env=env_from_attributes(attributes, str(path)),
        behaviour=text(attributes.get("behaviour", "")),
        layout=layout_from(attributes, str(path)),
        **options,
    )


def _read(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    wanted = {key: key for key in (*KEYS, *_ATTRIBUTES)} | {"qpos": "infos/qpos", "qvel": "infos/qvel"}
    return read_npz_arrays(path, wanted)
