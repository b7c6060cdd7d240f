"""The picture of the study `polynomial_games`, drawn from its rows alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from mbrl.diagnose.picture_file import write_picture
from mbrl.dynamics.games.game import make_game

Row = dict[str, Any]
COLOURS = {
    "none": "#000000",
    "pjap": "#E69F00",
    "static": "#56B4E9",
    "refreshed_unguided": "#CC79A7",
    "coda": "#D55E00",
}
"""Okabe and Ito's, which the colour-blind tell apart."""
WORDS = {
    "none": "none",
    "pjap": "PJAP",
    "static": "static",
    "refreshed_unguided": "refreshed, unguided",
    "coda": "CODA",
}
SETTINGS = ("learner", "agents", "weight", "width", "refresh_every")
"""What makes a group of cells besides game and data."""


def draw(rows: Sequence[Row], out: Path) -> Path:
    """Write <out>/polynomial_games.png.

    Above, for every game of two agents, the policies' ways over the reward of the data on which the augmentations
    differ most; below, the share of seeds that reached the optimum in every cell, with 95 % intervals.
    """
    told = [group for game in _unique(rows, "game") if (group := telling(rows, game))]
    groups = grouped(rows)
    games = _unique(rows, "game")
    bars = 1.3 + 0.62 * max(sum(key[0] == game for key in groups) for game in games)
    heights = [3.3] * len(told) + [0.45, bars]
    figure = plt.figure(figsize=(15.5, sum(heights)), layout="constrained")
    parts = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    for part, group in zip(parts, told, strict=False):
        _ways(part, group)
    _legend(parts[-2])
    _shares(parts[-1], groups, games)
    path = out / "polynomial_games.png"
    write_picture(figure, path, dpi=100)
    return path


def grouped(rows: Sequence[Row]) -> dict[tuple, list[Row]]:
    """Rows by game, data and settings; weight and width, which only CODA has, count where CODA's differ."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["game"], row["data"], *(row[k] for k in SETTINGS)), []).append(row)
    return groups


def telling(rows: Sequence[Row], game: str) -> list[Row]:
    """Of a game of two agents, the group whose shares differ most; of equals one with most augmentations."""
    groups = [g for key, g in grouped(rows).items() if key[0] == game and g[0]["agents"] == 2]
    return max(groups, key=_spread, default=[])


def _spread(rows: Sequence[Row]) -> tuple[int, float]:
    shares = [row["reached"] for row in rows]
    return len(rows), max(shares) - min(shares)


def _unique(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _ways(figure: SubFigure, rows: Sequence[Row]) -> None:
    """A panel an augmentation: reward as shades, policies as lines from circle to square, samples as points."""
    first = rows[0]
    game = make_game(first["game"])
    axis = torch.linspace(-1, 1, 121, dtype=torch.float64)
    reward = game.reward(torch.cartesian_prod(axis, axis).unsqueeze(-1)).view(121, 121).numpy()
    best = game.optimum.points.numpy()
    panels = figure.subplots(1, len(rows), squeeze=False, sharey=True)[0]
    for panel, row in zip(panels, rows, strict=True):
        shades = panel.contourf(axis, axis, reward.T, levels=14, cmap="Greys_r", alpha=0.55)
        line = len(best) > 10
        panel.plot(*best.T, "-" if line else "*", color="#009E73", markersize=15, linewidth=3, zorder=2)
        _samples(panel, row)
        path = np.array(row["course"]["action"])
        colour = COLOURS[row["augmentation"]]
        panel.plot(path[..., 0], path[..., 1], color=colour, linewidth=0.8, alpha=0.75, zorder=4)
        panel.plot(*path[0].T, "o", color="white", markeredgecolor="k", markersize=4, zorder=5)
        panel.plot(*path[-1].T, "s", color=colour, markeredgecolor="white", markersize=5.5, zorder=6)
        panel.set(
            xlim=(-1.04, 1.04), ylim=(-1.04, 1.04), xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect="equal"
        )
        panel.set_title(f"{WORDS[row['augmentation']]}: {row['reached']:.0%} reach it", fontsize=10)
        panel.set_xlabel("agent 0's action", fontsize=9)
    title = f"{_plain(first['game'])}\ndata: {_plain(first['data'])}"
    panels[0].set_ylabel(f"{title}\n\nagent 1's action", fontsize=10)
    figure.colorbar(shades, ax=list(panels), label="reward", shrink=0.8, pad=0.01)


def _samples(panel: Axes, row: Row) -> None:
    """Synthetic joint actions of a few seeds, those of later refreshes darker."""
    drawn = [np.array(s).reshape(-1, 2) for s in row["course"]["samples"] if s]
    for place, points in enumerate(drawn):
        late = (place + 1) / len(drawn)
        panel.scatter(*points.T, s=3, color=plt.cm.Blues(0.25 + 0.7 * late), linewidths=0, zorder=3)


def _legend(figure: SubFigure) -> None:
    """What the marks are."""
    marks = [
        ("o", "white", "policies at the start"),
        ("s", "0.35", "at the end"),
        ("*", "#009E73", "global optima"),
        (".", plt.cm.Blues(0.9), "synthetic or prioritised joint actions (later: darker)"),
    ]
    handles = [
        plt.Line2D([], [], linestyle="", marker=m, color=c, markeredgecolor="k" if c == "white" else c)
        for m, c, _ in marks
    ]
    figure.legend(handles, [text for *_, text in marks], loc="center", ncols=4, fontsize=10, frameon=False)


def _shares(figure: SubFigure, groups: dict[tuple, list[Row]], games: Sequence[str]) -> None:
    """Bars: the share of seeds at the optimum, with intervals; groups whose data covers the way are marked."""
    panels = figure.subplots(1, len(games), squeeze=False)[0]
    usual = next(iter(groups))[2:]
    for panel, game in zip(panels, games, strict=True):
        mine = [(key, rows) for key, rows in groups.items() if key[0] == game]
        for place, (_, rows) in enumerate(mine):
            _bars(panel, place, rows)
        labels = [_label(key, rows, usual) for key, rows in mine]
        panel.set_yticks(range(len(mine)), labels, fontsize=8)
        panel.set(xlim=(0, 1.02), ylim=(len(mine) - 0.45, -0.55), title=_plain(game))
        panel.axvline(0.95, color="0.5", linewidth=0.8, linestyle=":")
        panel.set_xlabel("share of seeds that reach the optimum, 95 % interval", fontsize=9)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in COLOURS]
    figure.legend(handles, list(WORDS.values()), loc="outside lower center", ncols=len(COLOURS), fontsize=9)


def _bars(panel: Axes, place: int, rows: Sequence[Row]) -> None:
    height = 0.8 / max(len(rows), 2)
    for i, row in enumerate(rows):
        at = place + height * (i - (len(rows) - 1) / 2)
        low, high = row["interval"]
        colour = COLOURS[row["augmentation"]]
        panel.barh(at, row["reached"], height * 0.9, color=colour)
        panel.plot([low, high], [at, at], color="0.45", linewidth=1.6)


def _label(key: tuple, rows: Sequence[Row], usual: tuple) -> str:
    """Data, whether it covers the way, and settings that are not the first group's."""
    other = [f"{k}={v}" for k, v, u in zip(SETTINGS, key[2:], usual, strict=True) if v != u]
    covered = "way covered" if rows[0]["optimum_in_data"] else "way not covered"
    return "\n".join([_plain(key[1]), covered, *other])


def _plain(name: str) -> str:
    return name.replace("_", " ")
