"""HDF5 files in D4RL's layout: D4RL's own, and those that this project writes."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mbrl.core.errors import MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets.assemble import assemble
from mbrl.datasets.binding import d4rl_env, env_from_attributes, text
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.digest import file_sha256
from mbrl.datasets.h5_arrays import opened, plain_array
from mbrl.datasets.joint import layout_from
from mbrl.datasets.locate import checked_id, existing_file, local_id
from mbrl.datasets.record import KEYS, Record, record_from

_SCALARS = ("rewards", "terminals", "timeouts")


def read_hdf5(path: str | Path, *, id: str | None = None, **options: Any) -> OfflineDataset:
    """The dataset in an HDF5 file.

    Keys: observations [N, O], actions [N, A] in [-1, 1], rewards, terminals [N]; optional timeouts [N],
    next_observations [N, O], infos/qpos [N, nq], infos/qvel [N, nv]. Optional attributes: env_id, env_kwargs
    and versions (JSON), behaviour, dataset_id; of several agents, whose columns stand side by side without padding,
    agents (JSON of mbrl.core.joint.Layout.as_dict). Other keys are left alone.
    id: "local/" and the attribute dataset_id or the file's name, unless given. An id "d4rl/..." says that
    this is D4RL's own file. options: see `assemble`.

    Raises DataError, with the file and key, for a file that is not HDF5, damaged, or without usable data.
    """
    path = existing_file(path)
    record, attributes = read_record(path)
    name = text(attributes.get("dataset_id", "")) or path.stem
    id = local_id(name) if id is None else checked_id(id)
    return assemble(
        record,
        id=id,
        where=str(path),
        sha256=file_sha256(path),
        recorded_env=_recorded_env(id, attributes, path),
        behaviour=text(attributes.get("behaviour", "")),
        layout=layout_from(attributes, str(path)),
        **options,
    )


def read_record(path: Path) -> tuple[Record, dict[str, Any]]:
    """The columns and attributes of an HDF5 file as they are, unchecked."""
    with opened(path) as file:
        keys: list[str] = []
        # Links are not visited: a file speaks for itself only.
        file.visititems(lambda key, item: keys.append(key) if isinstance(item, h5py.Dataset) else None)
        columns = {key: _column(file, key, path) for key in KEYS if key in keys}
        return record_from(columns, str(path), keys), dict(file.attrs)


def _column(file: h5py.File, key: str, path: Path) -> np.ndarray:
    values = plain_array(file, key, path)
    # D4RL's own reader accepts [N, 1] for scalars, and some of its files have it.
    return values[:, 0] if key in _SCALARS and values.ndim == 2 and values.shape[1] == 1 else values


def _recorded_env(id: str, attributes: dict[str, Any], path: Path) -> EnvSpec | None:
    recorded = env_from_attributes(attributes, str(path))
    if not id.startswith("d4rl/"):
        return recorded
    if recorded is not None:
        raise MismatchError(
            f"{path} says it was recorded in {recorded.id}; D4RL's files say no such thing, so this is not {id!r}. "
            "Load it by its path"
        )
    return d4rl_env(id.removeprefix("d4rl/"))
