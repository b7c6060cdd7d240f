"""Finished runs on one dataset side by side: a table in Markdown and their learning curves in one picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mbrl.core.errors import DataError
from mbrl.diagnose.picture_file import write_picture
from mbrl.diagnose.plots import BEHAVIOUR, sound_seeds
from mbrl.diagnose.runs.find import find_runs
from mbrl.diagnose.runs.mixed import check_mergeable
from mbrl.diagnose.runs.record import RETURN, Q, Record, read_record


def read_runs(folders: Sequence[Path | str]) -> list[Record]:
    """Read runs at or below these folders; the folder of a stack stands for those of its points.

    Raises DataError where there is none or one has no result, MismatchError where data or simulators differ.
    """
    runs = [read_record(folder) for folder in find_runs(folders)]
    for run in runs:
        if not run.dataset:
            raise DataError(f"{run.folder}: no result.json; name folders of runs that have ended")
    check_mergeable(runs)
    return runs


def markdown(runs: Sequence[Record]) -> str:
    """A table: raw returns (last, mean of last ten, best), one row a seed and run, the behaviour's mean first.

    A seed that diverged has its own status, and how many updates it came to, in place of the run's.
    """
    dataset = runs[0].result["dataset"]
    heads = ["run", "seed", "updates", "status", "last", "mean of last 10", "best", "updates/s"]
    lines = [heads, ["---"] * len(heads)]
    mean = dataset.get("return_mean")
    lines.append(["behaviour", "", "", "", "-" if mean is None else f"{mean:.0f}", "", "", ""])
    for run in runs:
        r = run.result
        for i, seed in enumerate(r["seeds"]):
            returns = [_cell(r.get("return"), key, i) for key in ("last", "mean_last_10", "best")]
            speed = "-" if r.get("updates_per_second") is None else f"{r['updates_per_second']:.1f}"
            end = r.get("diverged", {}).get(str(seed))
            updates, status = (r["updates"], r["status"]) if end is None else (end["update"], "diverged")
            lines.append([run.name, str(seed), f"{updates:,}", status, *returns, speed])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_comparison(runs: Sequence[Record], path: Path | str) -> None:
    """Learning curves of all runs (mean over seeds), and mean Q of those that have critics, in one picture.

    Seeds that diverged are left out of the means, and the label says how many are in; a run of which none is left
    shows them all. Raises ConfigError as `write_picture` does.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for number, run in enumerate(runs):
        for axis, name in zip(axes, (RETURN, Q), strict=True):
            curves = [run.curves.get(name, {}).get(seed, ((), ())) for seed in sound_seeds(run.result)]
            if all(len(values) for _, values in curves):
                shared = min(len(values) for _, values in curves)
                mean = np.mean([values[:shared] for _, values in curves], axis=0)
                axis.plot(curves[0][0][:shared], mean, f"C{number}", label=_label(run), linewidth=1.4)
    behaviour = runs[0].dataset.get("return_mean")
    if behaviour is not None:
        axes[0].axhline(
            behaviour, color=BEHAVIOUR, linestyle="--", label=f"behaviour's mean ({behaviour:.0f})"
        )
    axes[0].set(xlabel="updates", ylabel="return in the real environment")
    axes[1].set(xlabel="updates", ylabel="mean Q on training batches")
    for axis in axes:
        axis.legend(fontsize=7)
    figure.suptitle(runs[0].result["dataset"]["id"], fontsize=10)
    figure.tight_layout()
    write_picture(figure, path, dpi=130)


def _label(run: Record) -> str:
    seeds, lost = len(run.result["seeds"]), len(run.result.get("diverged", {}))
    if not lost:
        return run.name
    return f"{run.name} ({'all diverged' if lost == seeds else f'{seeds - lost} of {seeds} seeds'})"


def _cell(returns: dict[str, list[float | None]] | None, key: str, i: int) -> str:
    value = returns[key][i] if returns else None
    return "-" if value is None else f"{value:.0f}"
