"""The picture of the study `simple_env`, drawn from its rows alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mbrl.diagnose.picture_file import write_picture
from mbrl.dynamics.simple_world import START, SimpleWorld

Row = dict[str, Any]
SPAN = 20.0
"""Half the width of the drawn plane."""
SETTINGS = {
    "reward_map": None,
    "width": None,
    "reward_shift": 0.0,
    "reward_scale": 1.0,
    "unit": 1.0,
    "bias_spread": 0.0,
    "hidden_scale": 1.0,
    "head_scale": 1.0,
}
"""What makes a cell besides its method, and the values that need no mention."""


def draw(rows: Sequence[Row], out: Path) -> Path:
    """Write <out>/simple_env.png: the failing share of every cell, and the course of the most telling group.

    A group is the cells that differ in method alone; the one shown has the widest range of failing shares.
    """
    groups = grouped(rows)
    shown = max(groups, key=lambda g: spread(groups[g]))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    bars = 1.6 + 0.32 * len(groups)
    figure = plt.figure(figsize=(15, 8.2 + bars), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[4.8, 2.9, bars])
    _course(top.subplots(1, 3), groups[shown])
    _paths(middle, groups[shown])
    _table(bottom.subplots(), groups, methods)
    top.suptitle(f"{title(shown)}: {len(rows[0]['seeds'])} seeds a method, mean and quartiles", fontsize=11)
    path = out / "simple_env.png"
    write_picture(figure, path, dpi=110)
    return path


def grouped(rows: Sequence[Row]) -> dict[tuple, list[Row]]:
    """Rows by everything that makes a cell but its method."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        key = tuple(row[k] for k in SETTINGS)
        groups.setdefault(key, []).append(row)
    return groups


def spread(rows: Sequence[Row]) -> tuple[float, int]:
    """How far apart the methods' failing shares lie, then how many methods there are."""
    shares = [row["failed"] for row in rows]
    return max(shares) - min(shares), len(rows)


def title(key: tuple) -> str:
    """A group in words."""
    name, width, *rest = key
    pairs = zip(list(SETTINGS.items())[2:], rest, strict=True)
    return ", ".join([name, f"2x{width}", *(f"{k}={v:g}" for (k, usual), v in pairs if v != usual)])


def _colours(rows: Sequence[Row]) -> list[Any]:
    return [plt.cm.tab10(i % 10) for i in range(len(rows))]


def _course(axes: Sequence[Axes], rows: Sequence[Row]) -> None:
    """Return, value against the truth, and effective penalty."""
    returns, values, penalties = axes
    for row, colour in zip(rows, _colours(rows), strict=True):
        course = row["course"]
        curves = np.array(course["returns"], dtype=float)
        returns.plot(course["update"], curves.mean(1), color=colour, label=row["method"])
        low, high = np.quantile(curves, [0.25, 0.75], axis=1)
        returns.fill_between(course["update"], low, high, color=colour, alpha=0.12)
        values.plot(course["update"], np.array(course["q"], dtype=float), color=colour, label=row["method"])
        values.plot(course["update"], np.array(course["oracle_q"], dtype=float), "--", color=colour)
    for level in ("optimum", "threshold", "nothing"):
        height = rows[0][f"{level}_return"]
        returns.axhline(height, color="k", linewidth=0.8, linestyle=":")
        returns.annotate(
            level, (1.0, height), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="bottom"
        )
    returns.set(xlabel="updates", ylabel="return over 30 steps", title="Return")
    values.set(xlabel="updates", ylabel="value", title="min Q (solid), true value (dashed)")
    returns.legend(fontsize=7, framealpha=0.6)
    _penalties(penalties, rows)


def _penalties(axis: Axes, rows: Sequence[Row]) -> None:
    """Quartiles (box) and 5 to 95 % (whiskers) of the effective penalty, within reach and at its edge."""
    keys = ("q1", "med", "q3", "whislo", "whishi")
    for side, (where, colour) in enumerate((("within", "#4878b0"), ("edge", "#c44e3a"))):
        quantiles = [[v or 0.0 for v in row["penalty_quantiles"][where]] for row in rows]
        stats = [dict(zip(keys, (q[1], q[2], q[3], q[0], q[4]), strict=True)) for q in quantiles]
        places = np.arange(len(rows)) + 0.2 * (2 * side - 1)
        boxes = axis.bxp(stats, positions=places, widths=0.3, showfliers=False, patch_artist=True)
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.7)
        axis.plot([], [], "s", color=colour, label={"within": "within reach", "edge": "edge of reach"}[where])
    axis.set_xticks(
        np.arange(len(rows)), [row["method"] for row in rows], rotation=30, ha="right", fontsize=7
    )
    axis.set(ylabel="mean Q - min Q", title="Effective penalty on the exact sets")
    axis.legend(fontsize=7)


def _paths(figure: Any, rows: Sequence[Row]) -> None:
    """Final episodes, one a seed, over the reward map; squares: the starts, and the reach of rollouts."""
    axis = torch.linspace(-SPAN, SPAN, 161)
    reward = (
        SimpleWorld(rows[0]["reward_map"]).reward(torch.cartesian_prod(axis, axis)).view(161, 161).numpy()
    )
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for panel, row in zip(panels, rows, strict=True):
        panel.imshow(reward.T, extent=[-SPAN, SPAN] * 2, origin="lower", cmap="viridis")
        for path in np.array(row["episodes"], dtype=float):
            panel.plot(*path.T, color="w", linewidth=0.7)
            panel.plot(*path[-1], "o", color="r", markersize=3)
        for half in (START, START + row["training"]["horizon"]):
            panel.add_patch(
                Rectangle((-half, -half), 2 * half, 2 * half, fill=False, color="w", linestyle=":")
            )
        panel.set(xlim=(-SPAN, SPAN), ylim=(-SPAN, SPAN), xticks=[], yticks=[])
        panel.set_title(f"{row['method']}\n{row['failed']:.0%} fail", fontsize=8)


def _table(axis: Axes, groups: dict[tuple, list[Row]], methods: Sequence[str]) -> None:
    """The share of failing seeds of every cell."""
    shares = np.full((len(groups), len(methods)), np.nan)
    for i, rows in enumerate(groups.values()):
        for row in rows:
            shares[i, methods.index(row["method"])] = row["failed"]
    axis.imshow(shares, cmap="RdYlGn_r", vmin=0, vmax=1, aspect="auto")
    for i, j in zip(*np.nonzero(np.isfinite(shares)), strict=True):
        axis.text(j, i, f"{shares[i, j]:.0%}", ha="center", va="center", fontsize=8)
    axis.set_xticks(range(len(methods)), methods, rotation=30, ha="right", fontsize=8)
    axis.set_yticks(range(len(groups)), [title(key) for key in groups], fontsize=8)
    axis.set_title("Share of seeds that fail", fontsize=11)
