"""The picture of every study of training runs, drawn from its rows alone."""

from collections.abc import Sequence
from pathlib import Path

from mbrl.study.outputs import Row, ending
from mbrl.study.panels import (
    OVERESTIMATE,
    RETURN,
    Draw,
    behaviour,
    by_step,
    caption,
    colours,
    column,
    curves,
    distinct,
    dots,
    endings,
    finish,
    lines,
    panels,
    same_scale,
    signed_log,
    spread,
)

KINDS = {"none": "no model", "learned": "learned dynamics", "true": "true dynamics"}
WHERE = {"overestimate_last": "at data states", "overestimate_edge_last": "at the edge of reach"}


def draw_methods(rows: Sequence[Row], path: Path) -> None:
    """true_dynamics: return, overestimates and Q of every method; a colour a dynamics, a line a dataset."""
    datasets, methods, kinds = (distinct(rows, axis) for axis in ("dataset", "method", "dynamics"))
    shown = {
        "return_mean_last_10": f"{RETURN}, mean of the last 10",
        "overestimate_last": "min Q − true return, at data states",
        "overestimate_edge_last": "min Q − true return, at the edge of reach",
        "q_last": "mean Q on training batches",
    }
    figure, axes = panels(len(datasets), 4, width=4.0, height=1.2 + 0.32 * len(methods))
    palette, shift = colours(kinds), dict(zip(kinds, spread(len(kinds)), strict=True))
    for line, dataset in zip(axes, datasets, strict=True):
        here = [row for row in rows if row["dataset"] == dataset]
        for axis, (name, label) in zip(line, shown.items(), strict=True):
            for row in here:
                kind = row["dynamics"]
                place = methods.index(row["method"]) + shift[kind]
                dots(axis, place, column(row, name), colour=palette[kind], label=KINDS.get(kind, kind))
            axis.set_yticks(range(len(methods)), methods if axis is line[0] else [], fontsize=7)
            axis.set_ylim(len(methods) - 0.5, -0.5)
            axis.set_xlabel(label, fontsize=8)
            axis.grid(axis="y", color="0.92")
        behaviour(line[0], here, upright=True)
        for row in here:
            endings(line[0], row, methods.index(row["method"]) + shift[row["dynamics"]])
        for axis in line[1:]:
            signed_log(axis, upright=True)
    finish(figure, path, caption(rows, "Learned against true dynamics"))


def against(x: str, by: str, what: str, label: str, split: str | None = None) -> Draw:
    """A drawing of return and overestimate against the setting x, a colour for every value of `by`.

    split: an axis whose values get a line of panels each.
    """

    def draw(rows: Sequence[Row], path: Path) -> None:
        groups = distinct(rows, split) if split else [None]
        names = distinct(rows, by)
        palette = colours(names)
        figure, axes = panels(len(groups), 3)
        for at, group in enumerate(groups):
            here = [row for row in rows if split is None or row[split] == group]
            shown = {"return_mean_last_10": RETURN, **{k: f"overestimate {w}" for k, w in WHERE.items()}}
            for axis, (name, text) in zip(axes[at], shown.items(), strict=True):
                for value in names:
                    mine = [row for row in here if row[by] == value]
                    lines(axis, mine, x, name, colour=palette[value], label=str(value))
                axis.set_xlabel(label, fontsize=8)
                axis.set_ylabel(text, fontsize=8)
                if name != "return_mean_last_10":
                    signed_log(axis)
            behaviour(axes[at, 0], here)
            if group is not None:
                axes[at, 0].set_title(KINDS.get(group, str(group)), fontsize=9)
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
    signed_log(axes[0, 1])
    for axis in axes[1]:
        axis.set_yscale("log")
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
        line[0].set_title(f"{row['method']} ({ending(row)})", fontsize=9)
    for line in axes:
        same_scale(line)
    finish(figure, path, caption(rows, "Return and overestimate over updates, true dynamics"))


def draw_correlation(rows: Sequence[Row], path: Path) -> None:
    """penalty_correlation: Pearson's and Spearman's coefficients of every measure, a colour a method."""
    methods, shown = distinct(rows, "method"), {"pearson": "Pearson's", "spearman": "Spearman's"}
    measures = list(dict.fromkeys(name for row in rows for name in row.get("measures") or ()))
    figure, axes = panels(1, 2, width=5.2, height=1.4 + 0.16 * len(measures) * len(methods))
    palette, shift = colours(methods), dict(zip(methods, spread(len(methods)), strict=True))
    for axis, (kind, name) in zip(axes[0], shown.items(), strict=True):
        for row in rows:
            for at, measure in enumerate(measures):
                place = at + shift[row["method"]]
                values = column(row, f"{kind}_{measure}")
                dots(axis, place, values, colour=palette[row["method"]], label=row["method"])
        axis.set_yticks(range(len(measures)), measures, fontsize=8)
        axis.set_ylim(len(measures) - 0.5, -0.5)
        axis.set_xlim(-1.05, 1.05)
        axis.axvline(0, color="0.6", linewidth=0.8)
        axis.grid(axis="y", color="0.92")
        axis.set_xlabel(f"{name} correlation with the critics' standard deviation", fontsize=8)
    finish(
        figure, path, caption(rows, "Model uncertainty against disagreement of the critics along rollouts")
    )


def draw_errors(rows: Sequence[Row], path: Path) -> None:
    """reward_error: rewards in the model and in truth, their error by step, and the overestimate by depth."""
    figure, axes = panels(len(rows), 3)
    blue, orange = colours(["a", "b"]).values()
    for line, row in zip(axes, rows, strict=True):
        by_step(line[0], row, "reward_model", colour=orange, label="in the model")
        by_step(line[0], row, "reward_true", colour=blue, label="in truth, same starts")
        by_step(line[1], row, "reward_error", colour=orange, label="mean |model − true| of one step")
        by_step(line[1], row, "paired_error", colour=blue, label="model − true along rollouts")
        by_step(line[2], row, "overestimate", colour=orange, label="min Q − true return", first=0)
        by_step(line[2], row, "true_value", colour=blue, label="true return", first=0)
        for axis, text in zip(line, ("reward a step", "error of the reward a step", "value"), strict=True):
            axis.set_xlabel("rollout step", fontsize=8)
            axis.set_ylabel(text, fontsize=8)
        line[2].set_xlabel("depth: model steps from the data (last: edge of reach)", fontsize=8)
        line[1].axhline(0, color="0.6", linewidth=0.8)
        signed_log(line[2])
        line[0].set_title(f"{row['method']} ({ending(row)})", fontsize=9)
    finish(
        figure,
        path,
        caption(rows, "Reward error of model rollouts beside the overestimate, learned dynamics"),
    )
