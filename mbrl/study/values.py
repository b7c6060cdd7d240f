"""What a run folder says of a cell: one list a figure, in the order of the seeds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mbrl.core.log import Row, read_metrics

Values = dict[str, Any]
WHEN = ("last", "mean_last_10", "best")


def read_result(folder: Path) -> dict[str, Any] | None:
    """<folder>/result.json; None where the run has not come to an end."""
    path = folder / "result.json"
    return json.loads(path.read_text()) if path.is_file() else None


def final_values(folder: Path, seeds: Sequence[int]) -> Values:
    """How a run ended: its returns, its Q, and the overestimate at data states and at the edge of reach.

    status, diagnosis, updates, seconds, dataset (its id) and behaviour_return (the data's mean) are single values;
    return_<when> and normalized_<when> for when in last, mean_last_10 and best (a selection by online return),
    q_last, overestimate_last and overestimate_edge_last are lists [S], None where nothing was measured; diverged is
    {seed: {"update", "diagnosis"}} of the seeds that did, whose other figures are from before it.
    """
    result, rows = read_result(folder) or {}, read_metrics(folder / "metrics.jsonl")
    dataset = result.get("dataset", {})
    values: Values = {"dataset": dataset.get("id"), "behaviour_return": dataset.get("return_mean")}
    values |= {name: result.get(name) for name in ("status", "diagnosis", "updates", "seconds")}
    values["diverged"] = result.get("diverged", {})
    for kind in ("return", "normalized"):
        values |= {f"{kind}_{when}": (result.get(kind) or {}).get(when) for when in WHEN}
    values["q_last"] = last(rows, "critic/q_mean", seeds)
    values["overestimate_last"] = last(rows, "bias/overestimate_depth_0", seeds)
    values["overestimate_edge_last"] = last(rows, deepest(rows, "bias/overestimate"), seeds)
    return values


def reach_values(folder: Path, seeds: Sequence[int]) -> Values:
    """The effective penalty at the end, lists [S]: penalty_reach at depths 0..k-1 (mean), penalty_edge at k."""
    rows = read_metrics(folder / "metrics.jsonl")
    names = _depths(rows, "reach/penalty")
    columns = [last(rows, name, seeds) or [None] * len(seeds) for name in names]
    within = [[v for v in at if v is not None] for at in zip(*columns[:-1], strict=True)]
    return {
        "penalty_reach": [sum(at) / len(at) if at else None for at in within] or None,
        "penalty_edge": columns[-1] if columns else None,
    }


def source_values(folder: Path, seeds: Sequence[int]) -> Values:
    """What was drawn: action_distance [S] of the latest rows to the joint policy, None without a source that says;
    refresh_share, what drawing took of the run's time."""
    result, rows = read_result(folder), read_metrics(folder / "metrics.jsonl")
    share = result["refresh_seconds"] / result["seconds"] if result["seconds"] else None
    return {"action_distance": last(rows, "source/action_distance", seeds), "refresh_share": share}


CURVES = {
    "return_curve": "eval/return",
    "q_curve": "bias/q_depth_0",
    "true_value_curve": "bias/mc_value_depth_0",
    "overestimate_curve": "bias/overestimate_depth_0",
}


def curve_values(folder: Path, seeds: Sequence[int]) -> Values:
    """The way there: at_update [T] and, for every figure of CURVES and at the edge, curves [S][T]."""
    rows = read_metrics(folder / "metrics.jsonl")
    names = CURVES | {"overestimate_edge_curve": deepest(rows, "bias/overestimate")}
    updates = sorted({row["update"] for row in rows if row.get("eval/return") is not None})
    return {"at_update": updates, **{key: _curves(rows, name, seeds, updates) for key, name in names.items()}}


def last(rows: Sequence[Row], name: str | None, seeds: Sequence[int]) -> list[float | None] | None:
    """The last value [S] of a metric; None where it was never logged."""
    found = {row["seed"]: row[name] for row in rows if row.get(name) is not None}
    return [found.get(seed) for seed in seeds] if found else None


def deepest(rows: Sequence[Row], prefix: str) -> str | None:
    """The metric <prefix>_depth_<k> of the largest k > 0; None where only data states were looked at."""
    names = [name for name in _depths(rows, prefix) if not name.endswith("_depth_0")]
    return names[-1] if names else None


def _depths(rows: Sequence[Row], prefix: str) -> list[str]:
    """Metrics <prefix>_depth_<t> in the order of t."""
    start = f"{prefix}_depth_"
    names = {name for row in rows for name in row if name.startswith(start)}
    return sorted(names, key=lambda name: int(name.removeprefix(start)))


def _curves(
    rows: Sequence[Row], name: str | None, seeds: Sequence[int], updates: Sequence[int]
) -> list[list[float | None]] | None:
    found = {(row["seed"], row["update"]): row[name] for row in rows if row.get(name) is not None}
    return [[found.get((seed, update)) for update in updates] for seed in seeds] if found else None
