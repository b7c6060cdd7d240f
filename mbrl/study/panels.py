"""Small multiples for studies: seeds as thin lines or dots, their mean as a thick one."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mbrl.diagnose.picture_file import write_picture
from mbrl.study.outputs import Row, ending

Seeds = np.ndarray
"""Values [S] float64, NaN where a seed has none."""
BEHAVIOUR = "#b04a2f"
RETURN = "return in the real environment"
OVERESTIMATE = "overestimate: min Q − true return"


def counted(row: Row) -> np.ndarray:
    """[S] bool: the seeds that did not diverge, which a mean may count; all of them where none is left."""
    lost = row.get("diverged") or {}
    sound = np.array([str(seed) not in lost for seed in row["seeds"]])
    return sound if sound.any() else ~sound


def column(row: Row, name: str) -> Seeds:
    """A row's values of one figure, [S]; NaN for seeds that do not count, all NaN where it was not measured."""
    values = row.get(name) or [None] * len(row["seeds"])
    values = np.array([np.nan if v is None else v for v in values], dtype=float)
    return np.where(counted(row), values, np.nan)


def colours(names: Sequence[str]) -> dict[str, tuple]:
    """A colour a name, the same in every panel of a picture."""
    palette = plt.get_cmap("tab10" if len(names) <= 10 else "tab20")
    return {name: palette(i % palette.N) for i, name in enumerate(names)}


def distinct(rows: Iterable[Row], axis: str) -> list:
    """The values of an axis, in the order of the rows."""
    return list(dict.fromkeys(row[axis] for row in rows))


def lines(axis: Axes, rows: Sequence[Row], x: str, y: str, *, colour: tuple, label: str) -> None:
    """y against the setting x: every seed thin, the mean of those that have a value thick; nothing for no rows."""
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row[x])
    places = [row[x] for row in rows]
    values = np.array([column(row, y) for row in rows])
    axis.plot(places, values, color=colour, linewidth=0.7, alpha=0.45)
    axis.plot(places, mean(values, -1), "o-", color=colour, linewidth=1.8, markersize=3.5, label=label)


def dots(axis: Axes, place: float, values: Seeds, *, colour: tuple, label: str | None = None) -> None:
    """Seeds of one cell side by side at height `place`: a dot each, and a bar at their mean."""
    axis.plot(values, np.full(len(values), place), "o", color=colour, markersize=3.5, alpha=0.55)
    average = mean(values[None], -1)
    axis.plot(average, [place], "|", color=colour, markersize=13, markeredgewidth=2.2, label=label)


def endings(axis: Axes, row: Row, place: float) -> None:
    """How a cell ended at height `place`, where that was not as planned."""
    if ending(row) != "finished":
        across = axis.get_yaxis_transform()
        axis.text(0.99, place, ending(row), fontsize=6, ha="right", va="center", transform=across)


def curves(axis: Axes, row: Row, name: str, *, colour: tuple, label: str) -> None:
    """A row's curves [S][T] against row["at_update"]: every seed thin, the mean of those that count thick."""
    if row.get(name) is not None:
        _course(axis, row["at_update"], row[name], counted(row), colour, label)


def by_step(axis: Axes, row: Row, name: str, *, colour: tuple, label: str, first: int = 1) -> None:
    """A row's figures [S][T] at rollout steps first, first + 1, ...: as `curves`."""
    if row.get(name) is not None:
        steps = list(range(first, first + len(row[name][0])))
        _course(axis, steps, row[name], counted(row), colour, label)
        axis.set_xticks(steps)


def _course(
    axis: Axes,
    places: Sequence[float],
    seeds: Sequence[Sequence],
    count: np.ndarray,
    colour: tuple,
    label: str,
) -> None:
    values = np.array([[np.nan if v is None else v for v in curve] for curve in seeds], dtype=float)
    axis.plot(places, values.T, color=colour, linewidth=0.7, alpha=0.45)
    axis.plot(places, mean(values[count], 0), color=colour, linewidth=1.8, label=label)


def spread(n: int) -> list[float]:
    """Shifts that set n marks apart around a place."""
    return np.linspace(-0.25, 0.25, n).tolist() if n > 1 else [0.0]


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean over finite entries; NaN where there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis)
    total = np.where(finite, values, 0.0).sum(axis)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def behaviour(axis: Axes, rows: Sequence[Row], *, upright: bool = False) -> None:
    """A dashed line at the data's mean return."""
    known = {row["behaviour_return"] for row in rows if row.get("behaviour_return") is not None}
    for value in known:
        draw = axis.axvline if upright else axis.axhline
        draw(value, color=BEHAVIOUR, linestyle="--", linewidth=1, label="behaviour's mean")


def signed_log(axis: Axes, *, upright: bool = False) -> None:
    """For figures that may grow without bound: linear to 100, logarithmic beyond, if they go beyond 1000.

    Call it when everything is drawn. A line marks 0.
    """
    (axis.axvline if upright else axis.axhline)(0, color="0.6", linewidth=0.8)
    drawn = axis.dataLim.intervalx if upright else axis.dataLim.intervaly
    if np.isfinite(drawn).all() and np.abs(drawn).max() > 1000:
        (axis.set_xscale if upright else axis.set_yscale)("symlog", linthresh=100)
        axis.autoscale(axis="x" if upright else "y")


def same_scale(line: Sequence[Axes]) -> None:
    """One vertical scale for axes side by side, wide enough for all that is drawn in any of them."""
    if any(axis.get_yscale() == "symlog" for axis in line):
        for axis in line:
            axis.set_yscale("symlog", linthresh=100)
            axis.autoscale(axis="y")
    limits = [axis.get_ylim() for axis in line]
    for axis in line:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def panels(rows: int, columns: int, *, width: float = 4.4, height: float = 3.3) -> tuple[Figure, np.ndarray]:
    """A grid of axes [rows, columns]."""
    return plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False)


def finish(figure: Figure, path: Path, title: str) -> None:
    """Legends, the same one only once, a title, and the file."""
    seen = []
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        if named and not any(named.keys() <= names for names in seen):
            axis.legend(named.values(), named.keys(), fontsize=7, framealpha=0.7)
            seen.append(named.keys())
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    write_picture(figure, path, dpi=130)


def caption(rows: Sequence[Row], what: str) -> str:
    """A title that says what is shown, on which data, with how many seeds, and what is missing."""
    data = ", ".join(str(name) for name in distinct(rows, "dataset") if name is not None)
    seeds = sorted({len(row["seeds"]) for row in rows})
    ended = [row for row in rows if row["status"] != "finished"]
    missing = f"; {len(ended)} of {len(rows)} cells diverged or failed" if ended else ""
    lost = sum(len(row.get("diverged") or {}) for row in rows if row not in ended)
    missing += f"; {lost} seeds of other cells diverged and are left out" if lost else ""
    return f"{what}\n{data or 'no data'}, {'/'.join(map(str, seeds))} seeds a cell{missing}"


Draw = Callable[[Sequence[Row], Path], None]
