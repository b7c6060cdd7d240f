"""One run as reports see it: how each seed ended, its returns, its curves, and its configuration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbrl.core.errors import DataError
from mbrl.core.rows import read_metrics
from mbrl.diagnose.runs.files import read_json, read_yaml

FIGURES = {"last": "last", "mean_last_10": "mean of last 10", "best": "best"}
"""Keys of a score in result.json, and what reports call them."""
SCALES = ("return", "normalized")
RETURN, Q, OVERESTIMATE = "eval/return", "critic/q_mean", "bias/overestimate_depth_"
ENDINGS = ("finished", "diverged", "interrupted", "unfinished")
"""How a seed can end; unfinished: the run has no result.json, since it goes on or was killed."""

Curve = tuple[np.ndarray, np.ndarray]
"""Updates [T] and values [T]."""


@dataclass(frozen=True)
class Record:
    """A run folder.

    result: its result.json; for a run without one, what is known of it. ended: how each seed did, of ENDINGS.
    curves: {metric: {seed: curve}} of RETURN, Q and every depth of OVERESTIMATE, where a seed has any. config: None
    if there is none.
    """

    folder: Path
    result: dict[str, Any]
    ended: dict[int, str]
    curves: dict[str, dict[int, Curve]]
    config: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name or self.folder.resolve().name

    @property
    def seeds(self) -> list[int]:
        """The run's seeds, in its order."""
        return list(self.ended)

    @property
    def dataset(self) -> dict[str, Any]:
        """What the run says of its dataset; empty for a run without a result."""
        return self.result.get("dataset") or {}

    def value(self, scale: str, figure: str, seed: int) -> float | None:
        """A score of one seed: scale of SCALES, figure of FIGURES; None where there is none."""
        found = self.result.get(scale)
        value = None if found is None else found[figure][self.seeds.index(seed)]
        return value if value is not None and math.isfinite(value) else None

    @property
    def sound(self) -> list[int]:
        """Seeds that finished: those a figure may count."""
        return [seed for seed, end in self.ended.items() if end == "finished"]


def read_record(folder: Path) -> Record:
    """A run folder. Raises DataError, naming file and key, for one that breaks the run directory's contract."""
    config = read_yaml(folder / "config.yaml") if (folder / "config.yaml").is_file() else None
    path = folder / "result.json"
    if path.is_file():
        result = read_json(path)
        _check(result, path)
        lost = result.get("diverged", {})
        ended = {s: "diverged" if str(s) in lost else result["status"] for s in result["seeds"]}
    else:
        seeds = (config or {}).get("seeds")
        if not _seeds(seeds):
            raise DataError(f"{folder}: no result.json, and config.yaml names no seeds")
        result, ended = {"seeds": seeds, "status": "unfinished"}, dict.fromkeys(seeds, "unfinished")
    return Record(folder, result, ended, _curves(folder / "metrics.jsonl", list(ended)), config)


def _curves(path: Path, seeds: Sequence[int]) -> dict[str, dict[int, Curve]]:
    found: dict[str, dict[int, tuple[list[int], list[float]]]] = {}
    for row in read_metrics(path):
        for name, value in row.items() if row["seed"] in seeds else ():
            if value is not None and (name in (RETURN, Q) or name.startswith(OVERESTIMATE)):
                updates, values = found.setdefault(name, {}).setdefault(row["seed"], ([], []))
                updates.append(row["update"])
                values.append(value)
    try:
        return {name: {s: _curve(*of[s]) for s in of} for name, of in sorted(found.items())}
    except OverflowError as error:
        raise DataError(f"{path}: a whole number is too large to be a metric ({error})") from error


def _curve(updates: list[int], values: list[float]) -> Curve:
    """Where the metric is finite."""
    at, found = np.array(updates, dtype=np.int64), np.array(values, dtype=float)
    return at[np.isfinite(found)], found[np.isfinite(found)]


def _check(result: Mapping[str, Any], path: Path) -> None:
    """Raise DataError for a result that does not keep the contract."""
    if not _seeds(result.get("seeds")):
        raise DataError(f"{path}: seeds is {result.get('seeds')!r}, not a list of different whole numbers")
    if result.get("status") not in ENDINGS[:3]:
        raise DataError(f"{path}: status is {result.get('status')!r}, not {', '.join(ENDINGS[:3])}")
    dataset = result.get("dataset")
    if not isinstance(dataset, dict) or not {"id", "sha256"} <= dataset.keys():
        raise DataError(f"{path}: dataset has no id and sha256")
    if not isinstance(result.get("diverged", {}), dict):
        raise DataError(f"{path}: diverged is not a table of seeds and how they ended")
    for scale in SCALES:
        for figure in FIGURES if result.get(scale) is not None else ():
            found = result[scale].get(figure) if isinstance(result[scale], dict) else None
            if not _scores(found, len(result["seeds"])):
                raise DataError(
                    f"{path}: {scale}.{figure} is not a list with a number or null for every seed"
                )


def _seeds(found: Any) -> bool:
    return (
        isinstance(found, list)
        and bool(found)
        and all(type(seed) is int for seed in found)
        and len({*found}) == len(found)
    )


def _is_number(value: Any) -> bool:
    """Also one that is not finite, but none that no float can hold."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def _scores(found: Any, seeds: int) -> bool:
    return isinstance(found, list) and len(found) == seeds and all(v is None or _is_number(v) for v in found)
