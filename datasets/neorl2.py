"""NeoRL-2 (Gao et al. 2025, arXiv:2503.19267): seven tasks with delays, disturbances, safety limits and few data.

Its npz files have obs [N, O], next_obs, action [N, A], reward and done [N] or [N, 1], and truncated or index, the
first row of each episode. Dims and step limits are those of its README, scores and checksums of its
neorl2/envs/info.py.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbrl.core.errors import DataError, MismatchError, unknown_name
from mbrl.core.npz import read_npz_arrays
from mbrl.datasets.arrays import from_arrays
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.digest import file_sha256
from mbrl.datasets.ends import split_done

KEYS = ("obs", "next_obs", "action", "reward", "done", "truncated", "index")
HOST = "http://datasets.polixir.site/neorl2"


@dataclass(frozen=True)
class Task:
    """O, A, step limit, returns at 0 and 100, md5 of the files for training and validation.

    first: how many of its episodes the benchmark uses for training; None: all.
    """

    obs_dim: int
    action_dim: int
    limit: int
    reference: tuple[float, float]
    md5: tuple[str, str]
    first: int | None = None


TASKS = {
    "Pipeline": Task(
        *(52, 1, 1000, (-296.0, 751.0)),
        ("59902b333be6edb9252acfc2302cc1ed", "c502f529db1de55ebf37d63e1defca56"),
    ),
    "Simglucose": Task(
        *(31, 1, 480, (9.75, 475.0)),
        ("6195a3634379f576958440b7e0c8fc53", "6df907556cbc96002757f6d652be9d92"),
    ),
    "RocketRecovery": Task(
        *(7, 2, 500, (-176.0, 208.0)),
        ("b1a7bf1ec16cfef390b6b1cec2b13ddc", "0b25bd998e92b4f808f8ee5207ce06dd"),
        first=100,
    ),
    "RandomFrictionHopper": Task(
        *(13, 3, 1000, (-3.0, 503.0)),
        ("3ef2c41483689729d3b5a3aef3b7b8f7", "2628f354222de37803451c63e84a1269"),
    ),
    "DMSD": Task(
        *(6, 2, 100, (30.60, 849.51)),
        ("88dfa39aa18904e809056b51c2e6319b", "be6c39c0e73c17029206e714068f26b7"),
    ),
    "Fusion": Task(
        *(15, 6, 100, (-107.601, 98.05)),
        ("98979f97e0b59dd46bbb9237176a68ab", "9baa5556fac98b86ab9b58040da17d86"),
    ),
    "SafetyHalfCheetah": Task(
        *(18, 6, 1000, (-283.0, 2507.0)),
        ("c35efec4a25fb45837487ba00f74e1ed", "da65ba51a4cc17370572da3c801d228b"),
    ),
}


def neorl2_folder() -> Path:
    """$NEORL2_DATASET_DIR, or NeoRL-2's own ~/.neorl2/datasets."""
    return Path(os.environ.get("NEORL2_DATASET_DIR") or Path.home() / ".neorl2" / "datasets").expanduser()


def read_neorl2(name: str, *, episodes: int | None = None, **options: Any) -> OfflineDataset:
    """The dataset "neorl2/<task>", or "<task>-val" of its data for validation; a note says if its md5 is another.

    episodes: only the first so many; by default what the benchmark takes, all but for RocketRecovery's 100 (25 for
    validation). No environment is bound: pass env=EnvSpec("neorl2:<task>") where that package is installed.
    options: see `assemble`. Raises DataError for an unknown task, a file that is missing or of another form, and
    MismatchError for one of other dimensions.
    """
    task_name, validation = name.removesuffix("-val"), name.endswith("-val")
    if task_name not in TASKS:
        raise DataError(unknown_name("NeoRL-2 task", name, TASKS))
    task, path = TASKS[task_name], _file(task_name, validation)
    columns = _columns(path)
    _check_dims(task_name, task, columns, path)
    terminals, timeouts = _ends(columns, task.limit, path)
    first = task.first if episodes is None else episodes
    first = first // 4 if validation and first and episodes is None else first
    rows = _rows_of(terminals | timeouts, first, path)
    values = (columns[key][:rows] for key in ("obs", "action", "reward"))
    options.setdefault("max_episode_steps", task.limit)
    return from_arrays(
        *values,
        terminals[:rows],
        timeouts[:rows],
        columns["next_obs"][:rows],
        id=f"neorl2/{name}",
        where=str(path),
        sha256=file_sha256(path),
        notes=_notes(path, task.md5[validation]),
        **options,
    )


def _file(task: str, validation: bool) -> Path:
    file = f"{task}-{'val' if validation else 'train'}.npz"
    path = neorl2_folder() / file
    if not path.is_file():
        raise DataError(
            f"no file {path}: get {HOST}/{task}/{file} (or from huggingface.co/datasets/polixirai/NeoRL2) and put "
            "it there, or set NEORL2_DATASET_DIR to where it lies"
        )
    return path


def _columns(path: Path) -> dict[str, np.ndarray]:
    found, keys = read_npz_arrays(path, {key: key for key in KEYS})
    missing = [key for key in KEYS[:5] if key not in found]
    if missing or not {"truncated", "index"} & found.keys():
        lacking = ", ".join(missing) or "truncated, and no index"
        raise DataError(f"{path}: no key {lacking}; NeoRL-2's files have {', '.join(KEYS)}, this one {keys}")
    for key in ("reward", "done", "truncated", "index"):
        if key in found and found[key].ndim == 2 and found[key].shape[1] == 1:
            found[key] = found[key][:, 0]
        if key in found and (found[key].ndim != 1 or found[key].dtype.kind not in "fiub"):
            raise DataError(f"{path}: {key} is {found[key].dtype} {found[key].shape}; numbers [N] are needed")
    return found


def _check_dims(name: str, task: Task, columns: dict[str, np.ndarray], path: Path) -> None:
    rows = len(columns["reward"])
    for key, size in (("obs", task.obs_dim), ("next_obs", task.obs_dim), ("action", task.action_dim)):
        if columns[key].shape != (rows, size):
            raise MismatchError(f"{path}: {key} has shape {columns[key].shape}; {name} needs {(rows, size)}")


def _ends(columns: dict[str, np.ndarray], limit: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Terminals and timeouts [N]; an episode of exactly `limit` rows was cut where no column says otherwise."""
    done = columns["done"].astype(bool)
    if "truncated" in columns:
        truncated = columns["truncated"].astype(bool)
        if truncated.shape != done.shape:
            raise DataError(f"{path}: truncated has {len(truncated)} rows, done {len(done)}")
        return done, truncated
    starts, rows = columns["index"], len(done)
    if not len(starts) or starts[0] != 0 or (np.diff(starts) <= 0).any() or starts[-1] >= rows:
        raise DataError(
            f"{path}: index must rise from 0 below the {rows} rows: the first row of each episode"
        )
    last = np.zeros(rows, dtype=bool)
    last[np.append(starts[1:], rows).astype(np.int64) - 1] = True
    terminals, _ = split_done(done | last, limit)
    return terminals & done, last & ~(terminals & done)


def _rows_of(ends: np.ndarray, episodes: int | None, path: Path) -> int:
    if episodes is None:
        return len(ends)
    if episodes < 1:
        raise DataError(f"{path}: episodes is {episodes}; at least 1 is needed")
    found = np.flatnonzero(ends)[:episodes]
    return int(found[-1]) + 1 if len(found) else len(ends)


def _notes(path: Path, published: str) -> list[str]:
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if digest == published:
        return []
    return [f"md5 {digest} is not that of NeoRL-2's published file, {published}: its scores may not compare"]
