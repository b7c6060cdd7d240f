"""Minari datasets, in any of its storages, through its public interface."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mbrl.core.errors import DataError, unknown_name
from mbrl.core.types import EnvSpec
from mbrl.datasets.actions import Bounds
from mbrl.datasets.assemble import assemble
from mbrl.datasets.binding import pinned_versions
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.locate import checked_id
from mbrl.datasets.record import Record

DAMAGE = (
    *(OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError),
    *(MemoryError, OverflowError),
)
"""What Minari, and the libraries below it, raise for files that are not sound."""

if TYPE_CHECKING:
    from minari import EpisodeData, MinariDataset


def read_minari(source: "str | MinariDataset", *, download: bool = True, **options: Any) -> OfflineDataset:
    """A Minari dataset, by id ("mujoco/hopper/medium-v0") or as an object.

    Looked for under $MINARI_DATASETS_PATH (default ~/.minari/datasets), then, if `download`, on Minari's server
    ($MINARI_REMOTE). Minari stores the final observation of an episode, so every successor is known; an episode
    that ends without a flag counts as timed out. Actions are rescaled from the dataset's action space to
    [-1, 1]. sha256 is that of the contents, the same in every storage. options: see `assemble`.

    Raises DataError for an unknown id (with the nearest local ones), when there is no network (with what to do),
    for discrete actions, observations that are not vectors, and unusable data.
    """
    dataset = _find(checked_id(source), download) if isinstance(source, str) else source
    where = f"minari/{dataset.id}"
    options.setdefault("action_bounds", _action_bounds(dataset.action_space, where))
    _check_observations(dataset.observation_space, where)
    record, unflagged = _record(dataset, where)
    metadata = dataset.storage.metadata
    notes = [f"{unflagged:,} episodes end without a flag and count as timed out"] if unflagged else []
    return assemble(
        record,
        id=where,
        recorded_env=_env(metadata),
        behaviour=str(metadata.get("algorithm_name") or ""),
        notes=notes,
        **options,
    )


def _minari() -> ModuleType:
    try:
        import minari
    except ImportError as error:
        raise DataError(
            f"Minari datasets need the optional package minari ({error}): pip install 'offline-mbrl[minari]'"
        ) from error
    return minari


def minari_folder() -> Path:
    """$MINARI_DATASETS_PATH, or Minari's default ~/.minari/datasets."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")


def _find(id: str, download: bool) -> "MinariDataset":
    minari = _minari()
    folder = minari_folder()
    if not (folder / id / "data").is_dir():
        known = _local_ids(folder)
        missing = (
            f"{unknown_name('Minari dataset', id, known)} (in {folder})"
            if known
            else (f"no Minari dataset {id!r}: {folder} holds none")
        )
        if not download:
            raise DataError(missing)
        _download(minari, id, missing, folder)
    try:
        return minari.load_dataset(id)
    except ImportError as error:
        raise DataError(f"Minari dataset {id!r} needs another package: {error}") from error
    except DAMAGE as error:
        raise DataError(
            f"Minari dataset {id!r} in {folder / id} cannot be opened ({type(error).__name__}: {error}); it may be "
            "incomplete: remove that folder and fetch it again"
        ) from error


def _local_ids(folder: Path) -> list[str]:
    ids = (path.parent.parent.relative_to(folder) for path in folder.rglob("data/metadata.json"))
    return sorted(id.as_posix() for id in ids if not any(part.startswith(".") for part in id.parts))


def _download(minari: ModuleType, id: str, missing: str, folder: Path) -> None:
    try:
        minari.download_dataset(id)
    # Which errors a failed download raises is up to the storage client behind Minari; all mean the same here.
    except Exception as error:
        raise DataError(
            f"{missing}, and it cannot be downloaded ({type(error).__name__}: {error}). Without a network: run "
            f"`minari download {id}` where there is one and copy its folder to {folder / id}, or set "
            "MINARI_DATASETS_PATH to where it lies"
        ) from error
    if not (folder / id / "data").is_dir():
        raise DataError(
            f"{missing}, and downloading it brought nothing: look for the id with `minari list remote`"
        )


def _action_bounds(space: Any, where: str) -> Bounds | None:
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    if low is None or len(space.shape) != 1 or space.dtype.kind != "f":
        raise DataError(
            f"{where}: action space {space} is not supported; expected continuous actions, Box(A,)"
        )
    return (low, high) if np.isfinite(low).all() and np.isfinite(high).all() else None


def _check_observations(space: Any, where: str) -> None:
    if len(space.shape or ()) != 1 or getattr(space, "low", None) is None:
        raise DataError(
            f"{where}: observation space {space} is not supported; expected vectors, Box(O,). Flatten it into "
            "arrays and use from_arrays"
        )


def _record(dataset: "MinariDataset", where: str) -> tuple[Record, int]:
    """All episodes as one record, and how many of them end without a flag."""
    columns: dict[str, list[np.ndarray]] = {}
    unflagged = 0
    for episode in _episodes(dataset, where):
        rows = _rows(episode, f"{where}: episode {episode.id}")
        if len(rows["rewards"]) == 0:
            continue
        if not (rows["terminals"][-1] or rows["timeouts"][-1]):
            rows["timeouts"][-1] = True
            unflagged += 1
        if columns and rows.keys() != columns.keys():
            raise DataError(
                f"{where}: episode {episode.id} has {sorted(rows)}, those before it {sorted(columns)}"
            )
        for name, values in rows.items():
            columns.setdefault(name, []).append(values)
    if not columns:
        raise DataError(f"{where}: empty dataset: no episode has a step")
    return Record(**{name: np.concatenate(parts) for name, parts in columns.items()}), unflagged


def _episodes(dataset: "MinariDataset", where: str) -> "Iterator[EpisodeData]":
    try:
        yield from dataset.iterate_episodes()
    except DAMAGE as error:
        raise DataError(f"{where} cannot be read, it is truncated or damaged: {error}") from error


def _rows(episode: "EpisodeData", where: str) -> dict[str, np.ndarray]:
    steps = len(episode.rewards)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf, and is refused with its row
        observations = np.asarray(episode.observations).astype(np.float32, copy=False)
    if len(observations) != steps + 1:
        raise DataError(
            f"{where} has {len(observations)} observations for {steps} rewards; expected one more"
        )
    rows = {
        "observations": observations[:-1],
        "next_observations": observations[1:],
        "actions": np.asarray(episode.actions),
        "rewards": np.asarray(episode.rewards),
        "terminals": np.array(episode.terminations, dtype=bool),
        "timeouts": np.array(episode.truncations, dtype=bool),
    }
    for name, values in rows.items():
        if len(values) != steps:
            raise DataError(f"{where} has {len(values)} {name} for {steps} rewards; they must agree")
    return rows | _state(episode.infos or {}, steps)


def _state(infos: Mapping[str, Any], steps: int) -> dict[str, np.ndarray]:
    """qpos and qvel at the observations; infos hold one row more, for the final one, if reset's are stored."""
    state = {name: np.asarray(infos[name]) for name in ("qpos", "qvel") if name in infos}
    return {name: values[:steps] for name, values in state.items() if len(values) in (steps, steps + 1)}


def _env(metadata: Mapping[str, Any]) -> EnvSpec | None:
    """The evaluation environment if the dataset names one, else the recording one."""
    raw = metadata.get("eval_env_spec") or metadata.get("env_spec")
    if not raw:
        return None
    spec = json.loads(raw)
    versions = pinned_versions(list(metadata.get("requirements") or ()))
    return EnvSpec(
        spec["id"], spec.get("kwargs") or {}, versions | {"minari": str(metadata["minari_version"])}
    )
