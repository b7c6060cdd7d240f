"""Pictures of one run, drawn from its metrics.jsonl alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mbrl.core.errors import DataError
from mbrl.core.rows import Row, read_metrics
from mbrl.diagnose.picture_file import write_picture

BEHAVIOUR = "#b04a2f"


def draw_run(folder: Path | str) -> Path:
    """Write <run>/run.png: learning curve, value by depth of rollout, effective penalty by depth.

    The behaviour's mean return (result.json) is a line in the first panel. Means are over the seeds that did not
    diverge, if there are any; the title names the others. Raises DataError if the run holds no metrics yet,
    ConfigError if the picture cannot be written.
    """
    folder = Path(folder)
    rows = read_metrics(folder / "metrics.jsonl")
    if not rows:
        raise DataError(f"{folder}/metrics.jsonl: no metrics to draw")
    result = json.loads((folder / "result.json").read_text())
    counted = sound_seeds(result)
    names = [name for name in ("reach/q", "reach/penalty") if _depths(rows, name)]
    figure, axes = plt.subplots(1, 1 + len(names), figsize=(4.6 * (1 + len(names)), 3.6), squeeze=False)
    _learning_curve(axes[0, 0], rows, result, counted)
    titles = {
        "reach/q": ("mean Q(s, π(s))", "Value by rollout depth"),
        "reach/penalty": ("mean Q − min Q", "Effective penalty by rollout depth"),
    }
    for axis, name in zip(axes[0, 1:], names, strict=True):
        _by_depth(axis, [row for row in rows if row["seed"] in counted], name)
        axis.set(xlabel="model steps from the data (last: edge of reach)", ylabel=titles[name][0])
        axis.set_title(titles[name][1], fontsize=10)
    lost = [f"seed {seed} diverged at {end['update']:,}" for seed, end in result.get("diverged", {}).items()]
    title = f"{folder.name}: {result['dataset']['id']}, seeds {result['seeds']}"
    figure.suptitle("; ".join([title, *lost]), fontsize=10)
    figure.tight_layout()
    write_picture(figure, folder / "run.png", dpi=130)
    return folder / "run.png"


def series(rows: Sequence[Row], name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Updates and values of one metric of one seed, where it was logged and finite."""
    found = [(r["update"], r[name]) for r in rows if r["seed"] == seed and r.get(name) is not None]
    updates, values = zip(*found, strict=True) if found else ((), ())
    return np.array(updates), np.array(values)


def sound_seeds(result: Mapping[str, Any]) -> list[int]:
    """The seeds of a result.json that did not diverge: those a mean may count; all of them where none is left."""
    lost = result.get("diverged", {})
    return [seed for seed in result["seeds"] if str(seed) not in lost] or list(result["seeds"])


def _learning_curve(
    axis: Axes, rows: Sequence[Row], result: Mapping[str, Any], counted: Sequence[int]
) -> None:
    """A line a seed, a dotted one if it diverged, and the mean of those that count."""
    behaviour = result["dataset"].get("return_mean")
    curves = {seed: series(rows, "eval/return", seed) for seed in result["seeds"]}
    for seed, (updates, values) in curves.items():
        lost = str(seed) in result.get("diverged", {})
        label, style = (f"seed {seed}, diverged", ":") if lost else (f"seed {seed}", "-")
        axis.plot(updates, values, style, linewidth=1, alpha=0.7, label=label)
    shown = [curves[seed] for seed in counted]
    if len(shown) > 1 and len({len(values) for _, values in shown}) == 1:
        axis.plot(shown[0][0], np.mean([v for _, v in shown], axis=0), "k", linewidth=2, label="mean")
    if behaviour is not None:
        axis.axhline(behaviour, color=BEHAVIOUR, linestyle="--", label=f"behaviour's mean ({behaviour:.0f})")
    axis.set(xlabel="updates", ylabel="return in the real environment")
    axis.set_title("Learning curve", fontsize=10)
    axis.legend(fontsize=7)


def _depths(rows: Sequence[Row], name: str) -> list[int]:
    prefix = f"{name}_depth_"
    present = {key for row in rows for key, v in row.items() if key.startswith(prefix) and v is not None}
    return sorted(int(key.removeprefix(prefix)) for key in present)


def _by_depth(axis: Axes, rows: Sequence[Row], name: str, moments: int = 4) -> None:
    """Mean over seeds against depth, at a few moments of training, pale to dark."""
    depths = _depths(rows, name)
    names = [f"{name}_depth_{d}" for d in depths]
    updates = sorted({r["update"] for r in rows if any(r.get(n) is not None for n in names)})
    picked = [updates[i] for i in np.unique(np.linspace(0, len(updates) - 1, moments).round().astype(int))]
    for shade, update in zip(np.linspace(0.3, 1.0, len(picked)), picked, strict=True):
        here = [r for r in rows if r["update"] == update]
        values = [[r.get(n) for r in here] for n in names]
        mean = [np.mean([v for v in column if v is not None] or [np.nan]) for column in values]
        axis.plot(depths, mean, "o-", color=plt.cm.Blues(shade), label=f"update {update:,}", markersize=3)
    axis.set_xticks(depths)
    axis.margins(y=0.3)  # Room for the legend above and below the lines.
    axis.legend(fontsize=7, framealpha=0.6, ncols=2, loc="upper left")
