"""Recordings as Minari datasets."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gymnasium
import numpy as np

from mbrl.core.errors import ConfigError
from mbrl.datasets.actions import to_native_scale
from mbrl.datasets.recording import Recording
from mbrl.datasets.write_hdf5 import check_folder

try:
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.namespace import create_namespace, list_local_namespaces
except ImportError as error:
    raise ConfigError("writing Minari datasets needs the extra: pip install offline-mbrl[minari]") from error

ROOT = "MINARI_DATASETS_PATH"
FORMATS = ("hdf5", "arrow")


def write_minari(
    recording: Recording,
    env: gymnasium.Env,
    *,
    data_format: str = "hdf5",
    root: Path | str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the dataset `recording.dataset_id`, an id of Minari such as "collected/Hopper-v5/medium-v0".

    env: the native environment (not scaled to [-1, 1]), for its spec and spaces. Actions are stored in its
    own scale, observations in its own precision, and infos/qpos and infos/qvel with one entry an
    observation. root: folder of Minari datasets, by default Minari's own. The dataset appears under its
    name only when it is whole. Returns its folder. Raises ConfigError as `check_minari` does.
    Data of several agents it refuses with a ConfigError, too.
    """
    if recording.layout is not None:
        raise ConfigError(
            f"{recording.dataset_id}: Minari has no form for data of several agents; write HDF5"
        )
    root = check_minari(recording.dataset_id, root=root, data_format=data_format, overwrite=overwrite)
    target = root / recording.dataset_id
    # Minari writes below the root named by an environment variable and never overwrites: so it writes to a
    # root of its own inside the real one, from which the finished dataset is moved by a rename.
    with tempfile.TemporaryDirectory(dir=root, prefix=".writing-") as temporary:
        with _minari_root(temporary), _quiet_metadata():
            _create(recording, env, data_format)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            os.replace(target, Path(temporary) / "replaced")
        os.replace(Path(temporary) / recording.dataset_id, target)
    with _minari_root(str(root)):
        namespace = recording.dataset_id.rpartition("/")[0]
        if namespace and namespace not in list_local_namespaces():
            create_namespace(namespace)
    return target


def check_minari(
    dataset_id: str, *, root: Path | str | None = None, data_format: str = "hdf5", overwrite: bool = False
) -> Path:
    """The folder of Minari datasets, once `dataset_id` can be written there.

    Raises ConfigError for an id Minari would not take, a format not in FORMATS, a dataset that exists (unless
    overwrite) or a folder that cannot be written: to be asked before the work that fills it.
    """
    if data_format not in FORMATS:
        raise ConfigError(f"data_format {data_format!r} is none of {', '.join(FORMATS)}")
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset_id)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{dataset_id!r} is no Minari id; they look like 'space/name-v0'") from error
    root = check_folder(root or os.environ.get(ROOT) or Path.home() / ".minari" / "datasets")
    if (root / dataset_id).exists() and not overwrite:
        raise ConfigError(
            f"Minari dataset {dataset_id} exists in {root}; allow it to be overwritten or rename"
        )
    return root


def _create(recording: Recording, env: gymnasium.Env, data_format: str) -> None:
    versions = recording.env.versions
    minari.create_dataset_from_buffers(
        recording.dataset_id,
        buffer=_buffers(recording, env),
        env=env,
        algorithm_name=recording.behaviour,
        description=f"{len(recording)} transitions of {recording.env.id}, seed {recording.seed}",
        requirements=[f"{name}=={versions[name]}" for name in ("gymnasium", "mujoco") if name in versions],
        data_format=data_format,
    )


def _buffers(recording: Recording, env: gymnasium.Env) -> list[EpisodeBuffer]:
    record = recording.record
    space = env.action_space
    actions = to_native_scale(record.actions, space.low, space.high).astype(space.dtype)
    dtype = env.observation_space.dtype
    return [
        EpisodeBuffer(
            id=number,
            observations=_with_last(record.observations, record.next_observations, rows).astype(dtype),
            actions=actions[rows],
            rewards=record.rewards[rows],
            terminations=record.terminals[rows],
            truncations=record.timeouts[rows],
            infos=_infos(recording, rows),
        )
        for number, rows in enumerate(recording.episodes())
    ]


def _infos(recording: Recording, rows: slice) -> dict[str, np.ndarray] | None:
    if recording.next_qpos is None or recording.next_qvel is None:
        return None
    return {
        "qpos": _with_last(recording.record.qpos, recording.next_qpos, rows),
        "qvel": _with_last(recording.record.qvel, recording.next_qvel, rows),
    }


def _with_last(at: np.ndarray, after: np.ndarray, rows: slice) -> np.ndarray:
    """T + 1 entries: one at each row of the episode, and the one its last row led to."""
    return np.concatenate([at[rows], after[rows.stop - 1 : rows.stop]])


@contextmanager
def _minari_root(folder: str) -> Iterator[None]:
    before = os.environ.get(ROOT)
    os.environ[ROOT] = folder
    try:
        yield
    finally:
        os.environ.pop(ROOT)
        if before is not None:
            os.environ[ROOT] = before


@contextmanager
def _quiet_metadata() -> Iterator[None]:
    """Silence Minari's advice to name an author, a link and an evaluation environment."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is set to None", UserWarning)
        yield
