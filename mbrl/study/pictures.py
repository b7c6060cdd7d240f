"""The picture of every study of training runs, drawn from its rows alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbrl.study.outputs import Row
from mbrl.study.panels import (
    OVERESTIMATE,
    RETURN,
    Draw,
    behaviour,
    caption,
    colours,
    column,
    curves,
    distinct,
    dots,
    finish,
    lines,
    panels,
    signed_log,
)

WHERE = {"overestimate_last": "at data states", "overestimate_edge_last": "at the edge of reach"}


def draw_methods(rows: Sequence[Row], path: Path) -> None:
    """true_dynamics: return, overestimate and Q of every method, one colour a dynamics, one line a dataset."""
    datasets, methods, kinds = (distinct(rows, axis) for axis in ("dataset", "method", "dynamics"))
    shown = {
        "return_mean_last_10": f"{RETURN}, mean of the last 10",
        "overestimate_edge_last": f"{OVERESTIMATE}, at the edge",
        "q_last": "mean Q on training batches",
    }
    figure, axes = panels(len(datasets), 3, width=4.6, height=1.2 + 0.32 * len(methods))
    palette, shift = colours(kinds), dict(zip(kinds, np.linspace(-0.2, 0.2, len(kinds)), strict=True))
    for line, dataset in zip(axes, datasets, strict=True):
        here = [row for row in rows if row["dataset"] == dataset]
        for axis, (name, label) in zip(line, shown.items(), strict=True):
            for row in here:
                kind = row["dynamics"]
                place = methods.index(row["method"]) + shift[kind]
                dots(axis, place, column(row, name), colour=palette[kind], label=f"{kind} dynamics")
            axis.set_yticks(range(len(methods)), methods, fontsize=7)
            axis.set_ylim(len(methods) - 0.5, -0.5)
            axis.set_xlabel(label, fontsize=8)
            axis.grid(axis="y", color="0.92")
        behaviour(line[0], here, upright=True)
        for axis in line[1:]:
            signed_log(axis, upright=True)
    finish(figure, path, caption(rows, "Learned against true dynamics"))


def against(x: str, by: str, what: str, label: str, columns: str | None = None) -> Draw:
    """A drawing of return and overestimate against the setting x, a colour for every value of `by`.

    columns: an axis whose values get panels of their own, side by side.
    """

    def draw(rows: Sequence[Row], path: Path) -> None:
        groups = distinct(rows, columns) if columns else [None]
        names = distinct(rows, by)
        palette = colours(names)
        figure, axes = panels(3, len(groups))
        for at, group in enumerate(groups):
            here = [row for row in rows if columns is None or row[columns] == group]
            shown = {"return_mean_last_10": RETURN, **{k: f"overestimate {w}" for k, w in WHERE.items()}}
            for axis, (name, text) in zip(axes[:, at], shown.items(), strict=True):
                for value in names:
                    mine = [row for row in here if row[by] == value]
                    lines(axis, mine, x, name, colour=palette[value], label=f"{by} {value}")
                axis.set_xlabel(label, fontsize=8)
                axis.set_ylabel(text, fontsize=8)
                if name != "return_mean_last_10":
                    signed_log(axis)
            behaviour(axes[0, at], here)
            if group is not None:
                axes[0, at].set_title(f"{columns} {group}", fontsize=9)
        finish(figure, path, caption(rows, what))

    return draw


def draw_ensemble(rows: Sequence[Row], path: Path) -> None:
    """ensemble: return, overestimate at the edge, and effective penalty within reach and at the edge."""
    etas = distinct(rows, "eta")
    palette = colours(etas)
    shown = {
        "return_mean_last_10": RETURN,
        "overestimate_edge_last": f"{OVERESTIMATE}, at the edge",
        "penalty_reach": "effective penalty mean Q − min Q, within reach",
        "penalty_edge": "effective penalty mean Q − min Q, at the edge",
    }
    figure, axes = panels(2, 2)
    for axis, (name, text) in zip(axes.flat, shown.items(), strict=True):
        for eta in etas:
            mine = [row for row in rows if row["eta"] == eta]
            lines(axis, mine, "num_critics", name, colour=palette[eta], label=f"eta {eta:g}")
        axis.set_xlabel("critics N", fontsize=8)
        axis.set_ylabel(text, fontsize=8)
        axis.set_xscale("log")
        counts = sorted(distinct(rows, "num_critics"))
        axis.set_xticks(counts, [str(n) for n in counts])
        axis.minorticks_off()
    behaviour(axes[0, 0], rows)
    for axis in axes.flat[1:]:
        signed_log(axis)
    finish(figure, path, caption(rows, "Number of critics and weight of their diversity, true dynamics"))


def draw_collapse(rows: Sequence[Row], path: Path) -> None:
    """collapse: return, Q against true value, and overestimate over updates, one column a cell."""
    figure, axes = panels(3, len(rows))
    blue, orange = colours(["a", "b"]).values()
    for line, row in zip(axes.T, rows, strict=True):
        curves(line[0], row, "return_curve", colour=blue, label="mean over seeds")
        behaviour(line[0], [row])
        curves(line[1], row, "q_curve", colour=orange, label="min Q at data states")
        curves(line[1], row, "true_value_curve", colour=blue, label="true (soft) return from there")
        curves(line[2], row, "overestimate_curve", colour=blue, label="at data states")
        curves(line[2], row, "overestimate_edge_curve", colour=orange, label="at the edge of reach")
        for axis, text in zip(line, (RETURN, "value", OVERESTIMATE), strict=True):
            axis.set_xlabel("updates", fontsize=8)
            axis.set_ylabel(text, fontsize=8)
        for axis in line[1:]:
            signed_log(axis)
        line[0].set_title(f"{row['method']} ({row['status']})", fontsize=9)
    for line in axes:
        for axis in line[1:]:
            axis.sharey(line[0])
    finish(figure, path, caption(rows, "Return and overestimate over updates, true dynamics"))
