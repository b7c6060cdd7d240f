"""Pictures of a report: learning curves with bands, Q and overestimates, and bars a dataset."""

from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mbrl.diagnose.plots import BEHAVIOUR
from mbrl.diagnose.runs.groups import Group
from mbrl.diagnose.runs.record import OVERESTIMATE, RETURN, Curve, Q
from mbrl.diagnose.runs.summary import Summary

TOGETHER, MOST = 6, 10
"""Methods in one panel, and of a hundred methods: more cannot be told apart."""
MANY = 48
LINEAR = 1e4
"""Values beyond which an axis becomes logarithmic: a critic that diverges hides all others."""


def curve_pictures(groups: Sequence[Group]) -> Iterator[tuple[Figure, str]]:
    """(picture, what it shows) of the groups of one dataset, a few methods each: return, Q and overestimates.

    A line is the mean over the seeds that finished, its band one standard deviation (n - 1) to either side. A
    method with no such seed is dotted and shows all it has.
    """
    metrics = _metrics(groups)
    size = TOGETHER if len(groups) <= MANY else MOST
    parts = [groups[i : i + size] for i in range(0, len(groups), size)]
    for part in parts if metrics else []:
        lines = (len(metrics) + 1) // 2
        height = 3.2 * lines + 0.5
        figure, grid = plt.subplots(lines, min(len(metrics), 2), figsize=(10, height), squeeze=False)
        for axis, (name, label) in zip(grid.flat, metrics.items(), strict=False):
            for number, group in enumerate(part):
                _band(axis, group, name, f"C{number}")
            axis.set(xlabel="updates", ylabel=label)
            axis.locator_params(nbins=5)  # ticks take most of the time of drawing
            _scale(axis)
        for axis in grid.flat[len(metrics) :]:
            axis.axis("off")
        _behaviour(grid[0, 0], part, upright=False)
        figure.legend(*grid[0, 0].get_legend_handles_labels(), fontsize=7.5, loc="upper left", ncols=3)
        # Measuring all texts, as tight_layout does, takes as long as drawing them.
        figure.subplots_adjust(
            0.07, 0.5 / height, 0.99, 1 - (0.2 + 0.18 * (len(part) // 3 + 1)) / height, 0.18, 0.3
        )
        yield (
            figure,
            f"{part[0].dataset}: {', '.join(metrics.values())} of {', '.join(g.method for g in part)}",
        )


def bar_picture(summaries: Sequence[Summary], figure: str = "mean_last_10") -> Figure:
    """Bars of one dataset: interquartile means, their intervals, and a dot a seed; raw, and normalised if known."""
    scales = [s for s in ("return", "normalized") if any(found.scores[s, figure] for found in summaries)]
    size = (4.8 * max(len(scales), 1) + 1.5, 1.1 + 0.27 * len(summaries))
    picture, axes = plt.subplots(1, max(len(scales), 1), figsize=size, squeeze=False, sharey=True)
    for axis, scale in zip(axes[0], scales, strict=False):
        _bars(axis, summaries, scale, figure)
        axis.set_xlabel(f"{scale}, {figure.replace('_', ' ')}")
        if scale == "return":
            _behaviour(axis, [found.group for found in summaries], upright=True)
    axes[0, 0].set_yticks(
        range(len(summaries)), [_short(found.group.method) for found in summaries], fontsize=8
    )
    axes[0, 0].set_ylim(len(summaries) - 0.4, -0.6)
    picture.tight_layout()
    return picture


def together(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Updates [T] that every curve has, and the values there [S, T].

    Only those: a mean over whichever seeds were left would jump where one ends.
    """
    shared = sorted(set.intersection(*({*updates.tolist()} for updates, _ in curves))) if curves else []
    maps = [dict(zip(updates.tolist(), values.tolist(), strict=True)) for updates, values in curves]
    values = np.array([[found[u] for u in shared] for found in maps], dtype=float)
    return np.array(shared), values.reshape(len(curves), len(shared))


def _metrics(groups: Sequence[Group]) -> dict[str, str]:
    """{metric: what it is} of those that were logged; of overestimates at the data and at the deepest step."""
    logged = {name for g in groups for r in g.records for name, c in r.curves.items() if _any(c)}
    depths = sorted(int(d) for n in logged if (d := n.removeprefix(OVERESTIMATE)) != n and d.isdigit())
    names = {RETURN: "return in the real environment", Q: "mean Q on training batches"}
    if depths:
        names[f"{OVERESTIMATE}{depths[0]}"] = "overestimate: min Q − true return"
    if len(depths) > 1:
        names[f"{OVERESTIMATE}{depths[-1]}"] = f"overestimate, {depths[-1]} model steps on"
    return {name: label for name, label in names.items() if name in logged}


def _any(curves: dict[int, Curve]) -> bool:
    return any(len(values) for _, values in curves.values())


def _band(axis: Axes, group: Group, name: str, colour: str) -> None:
    sound = any(record.sound for record in group.records)
    found = [(r.curves.get(name, {}), r.sound if sound else r.seeds) for r in group.records]
    curves = [c[s] for c, seeds in found for s in seeds if s in c and len(c[s][0])]
    updates, values = together(curves)
    label = _short(group.method) if sound else f"{_short(group.method)} (none finished)"
    if not len(updates):
        axis.plot([], [], color=colour, label=label)
        return
    mean, style = values.mean(0), "-" if sound else ":"
    axis.plot(updates, mean, style, color=colour, linewidth=1.5, label=f"{label}, {_seeds(len(curves))}")
    if len(curves) > 1:
        spread = values.std(0, ddof=1)
        axis.fill_between(updates, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)


def _seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"


def _bars(axis: Axes, summaries: Sequence[Summary], scale: str, figure: str) -> None:
    """All bars at once, a place each: artists one by one take seconds for a hundred methods."""
    found = {place: each.scores[scale, figure] for place, each in enumerate(summaries)}
    known = {place: score for place, score in found.items() if score}
    axis.barh([*known], [score.iqm for score in known.values()], height=0.7, color="C0", alpha=0.45)
    ends = {place: score.interval for place, score in known.items() if score.interval}
    if ends:
        axis.hlines([*ends], *zip(*ends.values(), strict=True), color="C0", linewidth=2.2)
    dots = [(v, place) for place in known for v in summaries[place].group.values(scale, figure).values()]
    if dots:
        axis.plot(*zip(*dots, strict=True), "o", color="0.2", markersize=3, alpha=0.6)
    for place in found.keys() - known.keys():
        why = "no score" if summaries[place].group.seeds("finished") else "no seed finished"
        axis.text(0.01, place, why, fontsize=7, va="center", transform=axis.get_yaxis_transform())


def _behaviour(axis: Axes, groups: Sequence[Group], *, upright: bool) -> None:
    means = {r.dataset.get("return_mean") for g in groups for r in g.records} - {None}
    for value in sorted(means):
        draw = axis.axvline if upright else axis.axhline
        draw(value, color=BEHAVIOUR, linestyle="--", linewidth=1, label="behaviour's mean")


def _scale(axis: Axes) -> None:
    drawn = axis.dataLim.intervaly
    if np.isfinite(drawn).all() and np.abs(drawn).max() > LINEAR:
        axis.set_yscale("symlog", linthresh=100)


def _short(name: str, longest: int = 44) -> str:
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 2 + 1 :]}"
