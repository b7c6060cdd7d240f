"""The picture of a benchmark: a panel a part, seconds an item as bars on a logarithmic scale, with their floors."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mbrl.bench.case import NAIVE, Row
from mbrl.bench.outputs import GIB, seconds
from mbrl.bench.registry import PARTS
from mbrl.diagnose.picture_file import write_picture

COLOURS = {"eager": "#3b6fb6", "compile": "#7fb2e0", "graph": "#2c9c69", NAIVE: "#c4c4c4"}
OTHERS = ("#d98a3d", "#9a6fb0", "#b4534b", "#8a7a52")
HEAD, BAR, GAP = 0.8, 0.19, 0.09
"""Inches: of a panel's title and axis, of a bar, and between two cases."""
Panel = tuple[str, list[Row]]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG with two columns of panels. Raises ConfigError if it cannot be written."""
    sides = columns(panels(rows))
    height = max(sum(map(_height, side)) for side in sides)
    figure = plt.figure(figsize=(15 if sides[1] else 8, height + 0.45), layout="constrained")
    palette = colours(rows)
    parts = figure.subfigures(1, 2 if sides[1] else 1, squeeze=False)[0]
    for part, side in zip(parts, sides, strict=False):
        _column(part, side, height, palette)
    handles = [Patch(color=colour, label=mode) for mode, colour in palette.items()]
    handles.append(Line2D([], [], color="k", marker="|", linestyle="", markersize=9, label="floor"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9, frameon=False)
    write_picture(figure, path, dpi=110)


def panels(rows: Sequence[Row]) -> list[Panel]:
    """(title, rows) for every part and device, in the order of the rows."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        part = row["case"].split("/")[0]
        found.setdefault(f"{part}: {PARTS[part].about} ({row['device']})", []).append(row)
    return list(found.items())


def columns(found: Sequence[Panel]) -> tuple[list[Panel], list[Panel]]:
    """Panels in their order, the first ones left, until that holds half of all height."""
    half, left = sum(map(_height, found)) / 2, 0
    while left < len(found) and (left == 0 or sum(map(_height, found[: left + 1])) <= half):
        left += 1
    return list(found[:left]), list(found[left:])


def colours(rows: Sequence[Row]) -> dict[str, str]:
    """A colour a mode: ours in blue and green, the naive reference grey, other libraries their own."""
    modes = dict.fromkeys(row["mode"] for row in rows)
    others = iter(OTHERS * len(modes))
    return {mode: COLOURS.get(mode) or next(others) for mode in modes}


def _height(panel: Panel) -> float:
    rows = panel[1]
    return HEAD + BAR * len(rows) + GAP * len({row["case"] for row in rows})


def _column(figure: Figure, side: Sequence[Panel], height: float, palette: dict[str, str]) -> None:
    """Panels of their own heights; what is left of the column stays empty."""
    heights = list(map(_height, side))
    rest = height - sum(heights)
    axes = figure.subplots(len(side) + 1, 1, height_ratios=[*heights, max(rest, 1e-3)], squeeze=False)[:, 0]
    axes[-1].axis("off")
    for axis, (title, rows) in zip(axes, side, strict=False):
        axis.set_title(title, fontsize=9.5, loc="left")
        if rows[0]["median_s"] is None:
            _bars(
                axis, rows, palette, [(r["peak_bytes"] / GIB, r["floor_bytes"] / GIB, _size(r)) for r in rows]
            )
            axis.set_xlabel("GiB at the most", fontsize=8)
            axis.margins(x=0.16)
        else:
            values = [_time(row) for row in rows]
            _bars(axis, rows, palette, values)
            _logarithmic(axis, [x for value in values for x in value[:2] if x is not None])
            axis.set_xlabel(f"time of one {rows[0]['unit']}", fontsize=8)


def _bars(
    axis: Axes,
    rows: Sequence[Row],
    palette: dict[str, str],
    values: Sequence[tuple[float, float | None, str]],
) -> None:
    """One bar a row, the rows of a case together under its name; (length, floor, label) of each."""
    step, place, names = BAR / GAP, 0.0, {}
    for row, (length, floor, label) in zip(rows, values, strict=True):
        place += step if row["case"] in names else step + 1
        names.setdefault(row["case"], []).append(place)
        axis.barh(place, length, height=0.86 * step, color=palette[row["mode"]])
        if floor is not None:
            axis.plot([floor] * 2, [place - step / 2, place + step / 2], color="k", linewidth=1.6)
        end = length if floor is None else max(length, floor)
        axis.annotate(
            label, (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7.5
        )
    middles = [sum(places) / len(places) for places in names.values()]
    axis.set_yticks(middles, [name.split("/", 1)[1] for name in names], fontsize=8)
    axis.set_ylim(place + step, step / 2)
    axis.tick_params(axis="x", labelsize=7.5)
    axis.grid(axis="x", color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _logarithmic(axis: Axes, values: Sequence[float]) -> None:
    """From somewhat below the least of the values to where labels of the largest still fit."""
    low, high = min(values) / 1.6, max(values)
    axis.set_xscale("log")
    axis.set_xlim(low, high * (high / low) ** 0.35)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 60 * low else (1,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _time(row: Row) -> tuple[float, float | None, str]:
    """Seconds an item, its floor, and the label: the time, and how many times as fast as the naive reference."""
    items, naive, floor = row["items"], row["times_naive"], row["floor_s"]
    label = seconds(row["median_s"] / items)
    if naive is not None and row["mode"] != NAIVE:
        label += f"  ({naive:.2g}x naive)"
    return row["median_s"] / items, None if floor is None else floor / items, label


def _size(row: Row) -> str:
    return f"{row['peak_bytes'] / GIB:.2f} GiB"
