"""What a run came to: result.json and the final table."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbrl.core.errors import CheckpointError
from mbrl.core.files import write_whole
from mbrl.core.log import Row, read_metrics
from mbrl.run.envs import current_versions

TAIL = 10
ENDED = ("finished", "diverged")
"""States of a run in which there is nothing left to do."""


def summarise(
    rows: Sequence[Row], seeds: Sequence[int], name: str, without: Collection[int] = ()
) -> dict[str, list[float | None]] | None:
    """Last evaluation, mean of the last ten, and best, of metric `name`: a list each, in the order of seeds.

    None where the metric was never logged. Seeds in `without` did not finish: they have None, so that nobody
    averages over them. Best is a selection by online return: report it as such.
    """
    series = {s: [r[name] for r in rows if r["seed"] == s and r.get(name) is not None] for s in seeds}
    if not any(series.values()):
        return None
    series |= {s: [] for s in without}
    mean = {s: sum(v[-TAIL:]) / len(v[-TAIL:]) if v else None for s, v in series.items()}
    return {
        "last": [series[s][-1] if series[s] else None for s in seeds],
        "mean_last_10": [mean[s] for s in seeds],
        "best": [max(series[s]) if series[s] else None for s in seeds],
    }


def write_result(
    folder: Path,
    *,
    status: str,
    updates: int,
    seeds: Sequence[int],
    seconds: float,
    dataset: Mapping[str, Any],
    refresh_seconds: float = 0.0,
    diverged: Mapping[int, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write <run>/result.json, atomically, and return it.

    status: finished, diverged (every seed did) or interrupted. Returns and normalised scores come from
    metrics.jsonl, one value a seed in the order of `seeds`; updates_per_second counts all stacked seeds as one.
    refresh_seconds: what drawing synthetic rows took of `seconds`.
    diverged: {seed: {"update", "diagnosis"}} of those that did; there they are under their names, and their
    returns are null. A run of which none is left says why as "diagnosis", too.
    """
    lost = dict(diverged or {})
    rows = read_metrics(folder / "metrics.jsonl")
    result = {
        "status": status,
        "updates": updates,
        "seeds": list(seeds),
        "return": summarise(rows, seeds, "eval/return", lost),
        "normalized": summarise(rows, seeds, "eval/normalized", lost),
        **_circumstances(updates, seconds, refresh_seconds, dataset),
    }
    if lost:
        result["diverged"] = {str(seed): dict(end) for seed, end in lost.items()}
    if status == "diverged":
        result["diagnosis"] = "; ".join(dict.fromkeys(end["diagnosis"] for end in lost.values()))
    return _write(folder, result)


def write_summary(
    folder: Path,
    *,
    status: str,
    points: Mapping[str, str],
    updates: int,
    seconds: float,
    dataset: Mapping[str, Any],
    refresh_seconds: float = 0.0,
) -> dict[str, Any]:
    """Write the result.json of a stack of grid points, and return it: {name: status} of its points, whose own
    results are in the folders of these names. updates_per_second counts the whole stack as one."""
    named = {"status": status, "updates": updates, "points": dict(points)}
    return _write(folder, named | _circumstances(updates, seconds, refresh_seconds, dataset))


def _circumstances(
    updates: int, seconds: float, refresh_seconds: float, dataset: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        "refresh_seconds": round(refresh_seconds, 3),
        "updates_per_second": round(updates / seconds, 3) if seconds else None,
        "versions": current_versions(),
        "dataset": dict(dataset),
    }


def _write(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    path = folder / "result.json"
    try:
        write_whole(path, json.dumps(result, indent=1))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error}); the checkpoint stands: make room and use resume=true"
        ) from error
    return result


def read_result(folder: Path) -> dict[str, Any]:
    """What a run that has ended came to. Raises CheckpointError if its result.json is missing or damaged."""
    path = folder / "result.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: missing or damaged ({error}); resume=true writes it again") from error
    if not isinstance(found, dict) or "status" not in found:
        raise CheckpointError(f"{path}: not the result of a run; resume=true writes it again")
    return found


def table(result: Mapping[str, Any], behaviour: float | None = None) -> str:
    """The final table: one line a seed, raw return beside the normalised score, the behaviour's mean below.

    A seed that diverged has dashes, and a line at the end that says why.
    """
    heads = ["seed", "last", "mean of last 10", "best", "normalized (last)"]
    returns, normalized = result["return"], result["normalized"]
    values = [v for k in returns or () for v in returns[k] if v is not None]
    # Games pay between -1 and 1, MuJoCo thousands.
    places = 3 if values and max(map(abs, values)) < 10 else 1
    lines = []
    for i, seed in enumerate(result["seeds"]):
        figures = [returns[k][i] if returns else None for k in ("last", "mean_last_10", "best")]
        figures.append(normalized["last"][i] if normalized else None)
        lines.append([str(seed), *("-" if f is None else f"{f:.{places}f}" for f in figures)])
    if behaviour is not None:
        lines.append(["data", f"{behaviour:.{places}f}", "", "", ""])
    widths = [max(len(row[i]) for row in [heads, *lines]) for i in range(len(heads))]
    text = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in [heads, *lines]]
    text += [f"diverged: {end['diagnosis']}" for end in result.get("diverged", {}).values()]
    return "\n".join(text)
