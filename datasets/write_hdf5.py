"""Recordings as D4RL-style HDF5 files."""

import json
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np

from mbrl.core.errors import ConfigError
from mbrl.datasets.joint import ATTRIBUTE
from mbrl.datasets.record import KEYS
from mbrl.datasets.recording import Recording

EXACT = ("qpos", "qvel")
"""Columns kept in float64: from float32 the simulator would not replay exactly."""


def write_hdf5(
    path: Path | str,
    recording: Recording,
    *,
    next_observations: bool = True,
    overwrite: bool = False,
    compression: int = 6,
) -> Path:
    """Write D4RL's keys, float32 (flags bool, simulator state float64), gzip, one attribute each for
    env_id, env_kwargs and versions (JSON), behaviour, seed and dataset_id, and of several agents `agents` (JSON).

    next_observations=False leaves that column out, for size: readers then take the next row, and lose the
    last transition of each episode. The file appears under its name only when it is whole. The same
    recording gives the same bytes. Raises ConfigError as `check_file` does.
    """
    path = check_file(path, overwrite=overwrite)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        with h5py.File(temporary, "w") as file:
            _write_columns(file, recording, next_observations, compression)
            _write_attributes(file, recording)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_file(path: Path | str, *, overwrite: bool = False) -> Path:
    """The path, once a file can be written there; makes missing folders.

    Raises ConfigError if something is there already (unless overwrite) or the folder is not writable: to be
    asked before the work that fills the file.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the name of a file in it")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already; choose another name, or allow it to be overwritten")
    check_folder(path.parent)
    return path


def check_folder(folder: Path | str) -> Path:
    """The folder, made if missing; raises ConfigError if it cannot be made or written to."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ConfigError(f"cannot write to the folder {folder}: {error.strerror or error}") from error


def _write_columns(file: h5py.File, recording: Recording, next_observations: bool, compression: int) -> None:
    columns = recording.record.present()
    if not next_observations:
        del columns["next_observations"]
    for key, name in KEYS.items():
        if name not in columns:
            continue
        value = columns[name]
        if value.dtype != bool:
            value = value.astype(np.float64 if name in EXACT else np.float32)
        # The shuffle filter groups bytes of like significance, which gzip then finds alike.
        file.create_dataset(key, data=value, compression="gzip", compression_opts=compression, shuffle=True)


def _write_attributes(file: h5py.File, recording: Recording) -> None:
    file.attrs["env_id"] = recording.env.id
    file.attrs["env_kwargs"] = json.dumps(dict(recording.env.kwargs), sort_keys=True)
    file.attrs["versions"] = json.dumps(dict(recording.env.versions), sort_keys=True)
    file.attrs["behaviour"] = recording.behaviour
    file.attrs["seed"] = recording.seed
    file.attrs["dataset_id"] = recording.dataset_id
    if recording.layout is not None:
        file.attrs[ATTRIBUTE] = json.dumps(recording.layout.as_dict())
