"""Pictures of an audit: one function a figure, each a matplotlib figure."""

from collections.abc import Iterable, Iterator, Sequence

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from torch import Tensor

from mbrl.core.rows import Row
from mbrl.diagnose.figure import Figure
from mbrl.diagnose.measure import Measured
from mbrl.diagnose.nearness import Nearness
from mbrl.diagnose.plots import BEHAVIOUR, series

SHOWN = 400
"""Points of a scatter, at most."""


def pictures(measured: Measured, seeds: Sequence[int], history: Sequence[Row]) -> dict[str, Picture]:
    """Every picture there are figures for, by name; close them after use."""
    found: dict[str, Picture | None] = {
        "history": draw_history(history, seeds, measured.horizon),
        "values": measured.values and measured.horizon and draw_values(measured, seeds),
        "overestimate": measured.bias and draw_overestimate(measured, seeds),
        "model_error": measured.one_step and draw_model_error(measured, seeds),
        "correlation": measured.correlation and draw_correlation(measured, seeds),
        "nearness": measured.nearness and draw_nearness(measured.nearness, seeds),
    }
    return {name: picture for name, picture in found.items() if picture}


def draw_values(m: Measured, seeds: Sequence[int]) -> Picture:
    """Q and its spread by depth of the state, data first; the targets by rollout step."""
    depths = range(m.horizon + 1)
    picture, axes = _panels(3 if m.targets else 2)
    for name, style in (("q_mean", "o-"), ("q_min", "v:")):
        joined = _joined(m, name)
        _lines(axes[0], depths, joined, seeds, style, label=f"{name.removeprefix('q_')} over critics")
    axes[0].set(title="Value under the policy", ylabel="Q(s, π(s))")
    for name, style in (("penalty", "o-"), ("q_std", "v:")):
        label = {"penalty": "mean − min", "q_std": "standard deviation"}[name]
        _lines(axes[1], depths, _joined(m, name), seeds, style, label=label)
    axes[1].set(title="Disagreement of the critics", ylabel="over critics")
    for axis in axes[:2]:
        _by_depth(axis, depths)
    if m.targets:
        _lines(axes[2], range(1, m.horizon + 1), m.targets.mean, seeds, "s-", m.targets.error)
        axes[2].set(title="Target of the critics", xlabel="rollout step of the row", ylabel="y")
        axes[2].set_xticks(range(1, m.horizon + 1))
    return _finished(picture, axes)


def draw_overestimate(m: Measured, seeds: Sequence[int]) -> Picture:
    """Smallest and mean Q against the true return, and their difference, by depth; what keeps it up."""
    depths, bias = range(m.horizon + 1), m.bias
    picture, axes = _panels(3 if m.origin else 2)
    true, over = bias.value["soft"], bias.overestimate["min_soft"]
    _lines(axes[0], depths, true.mean, seeds, "s--", true.error, label="true soft return")
    _lines(axes[0], depths, true.mean + over.mean, seeds, "o-", label="smallest Q(s, a)")
    axes[0].set(title="Promised and collected", ylabel="value")
    for name, style, label in (("min_soft", "o-", "smallest Q"), ("mean_soft", "v:", "mean Q")):
        figure = bias.overestimate[name]
        _lines(axes[1], depths, figure.mean, seeds, style, figure.error, label=f"{label} − true return")
    axes[1].axhline(0, color="0.5", linewidth=0.8)
    axes[1].set(title="Overestimate (± 2 standard errors)", ylabel="Q − true soft return")
    for axis in axes[:2]:
        _by_depth(axis, depths)
    if m.origin:
        _bars(axes[2], m, seeds)
    return _finished(picture, axes)


def draw_model_error(m: Measured, seeds: Sequence[int]) -> Picture:
    """One-step errors by rollout step, and the rewards of paired rollouts."""
    steps, one, paired = range(1, m.horizon + 1), m.one_step, m.paired
    picture, axes = _panels(4 if paired else 2)
    for axis, figure, title, label in (
        (axes[0], one.next_obs, "One-step error in next_obs", "in standard deviations of the data"),
        (axes[1], one.reward_bias, "One-step reward error", "model − true"),
    ):
        _lines(axis, steps, figure.mean, seeds, "o-", figure.error)
        axis.set(title=title, ylabel=label)
    if paired:
        _lines(axes[2], steps, paired.true.mean, seeds, "s--", label="true")
        _lines(axes[2], steps, paired.model.mean, seeds, "o-", label="model")
        axes[2].set(title="Reward a step, paired rollouts", ylabel="mean reward")
        _lines(axes[3], steps, paired.difference.mean, seeds, "o-", paired.difference.error)
        axes[3].set(title="Reward error, paired rollouts", ylabel="model − true")
    for axis in axes:
        axis.set_xlabel("rollout step")
        axis.set_xticks(steps)
    for axis in (axes[1], *axes[3:]):
        axis.axhline(0, color="0.5", linewidth=0.8)
    return _finished(picture, axes)


def draw_correlation(m: Measured, seeds: Sequence[int]) -> Picture | None:
    """Each uncertainty measure that varies against the critics' spread, a colour a seed; None if none does."""
    names = [name for name, c in m.correlation.items() if bool(c.spearman.isfinite().any())]
    if not names:
        return None
    picture, axes = _panels(len(names), width=2.9)
    for axis, name in zip(axes, names, strict=True):
        for s, seed in enumerate(seeds):
            x, y = (m.scatter[n][s].cpu().numpy() for n in (name, "spread"))
            kept = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
            kept = kept[:: 1 + len(kept) // SHOWN]
            rank = float(m.correlation[name].spearman[s])
            text = f"seed {seed}, ρ = {'–' if np.isnan(rank) else f'{rank:.2f}'}"
            axis.plot(x[kept], y[kept], ".", color=f"C{s}", markersize=2.5, alpha=0.5, label=text)
        axis.set(title=name, xlabel="uncertainty of (s, a)")
    axes[0].set_ylabel("std of Q(s, a) over critics")
    return _finished(picture, axes)


def draw_nearness(found: Nearness, seeds: Sequence[int]) -> Picture:
    """Median distance by depth with the middle 80 %, and the yardstick's median."""
    picture, axes = _panels(1, width=5.0)
    depths = range(found.quantiles.shape[1])
    for s, seed in enumerate(seeds):
        low, middle, high = found.quantiles[s].unbind(-1)
        axes[0].fill_between(depths, low, high, color=f"C{s}", alpha=0.12)
        axes[0].plot(depths, middle, "o-", color=f"C{s}", markersize=3, label=f"seed {seed}")
        axes[0].axhline(float(found.within[s, 1]), color=f"C{s}", linestyle=":", linewidth=0.9)
    axes[0].set(
        title="Distance to the states that updates see",
        ylabel=f"to the {found.neighbours}th nearest, in std of the data",
    )
    _by_depth(axes[0], depths)
    return _finished(picture, axes)


def draw_history(history: Sequence[Row], seeds: Sequence[int], horizon: int) -> Picture | None:
    """Return, and value at data and at the edge, over the updates so far; None where too little was logged."""
    depths = {0: ("--", "at the data"), horizon: ("-", "at the edge" if horizon else "at the data")}
    if not _logged(history, "reach/q_depth_0", seeds):
        return None
    picture, axes = _panels(2 if _logged(history, "eval/return", seeds) else 1)
    for s, seed in enumerate(seeds):
        for depth, (style, label) in depths.items():
            updates, values = series(history, f"reach/q_depth_{depth}", seed)
            axes[0].plot(updates, values, f"C{s}{style}", label=label if s == 0 else None)
        for axis in axes[1:]:
            axis.plot(*series(history, "eval/return", seed), f"C{s}", label=f"seed {seed}")
            axis.set(title="Return over updates", xlabel="updates", ylabel="return in the real environment")
    axes[0].set(title="Value over updates", xlabel="updates", ylabel="mean Q(s, π(s))")
    return _finished(picture, axes)


def _logged(history: Sequence[Row], name: str, seeds: Sequence[int]) -> bool:
    return any(len(series(history, name, seed)[1]) > 1 for seed in seeds)


def _joined(m: Measured, name: str) -> Tensor:
    """A value figure at depths 0..k: the data, then the successors of steps 1..k, [S, k + 1]."""
    return torch.cat([m.values[where][name].mean for where in ("data", "successor")], dim=-1)


def _panels(count: int, width: float = 3.7) -> tuple[Picture, list[Axes]]:
    picture, axes = plt.subplots(1, count, figsize=(width * count, 3.3), squeeze=False)
    return picture, list(axes[0])


def _lines(
    axis: Axes,
    places: Sequence[int],
    mean: Tensor,
    seeds: Sequence[int],
    style: str,
    error: Tensor | None = None,
    label: str = "",
) -> None:
    """A line a seed, with bars of two standard errors; the label says what, the colour which seed."""
    for s, seed in enumerate(seeds):
        bars = None if error is None else 2 * error[s].cpu().numpy()
        options = {"color": f"C{s}", "markersize": 3.5, "linewidth": 1.1, "capsize": 2}
        text = f"seed {seed}" if not label else label if s == 0 else None
        axis.errorbar(list(places), mean[s].cpu().numpy(), bars, fmt=style, label=text, **options)


def _bars(axis: Axes, m: Measured, seeds: Sequence[int]) -> None:
    """What feeds the overestimate at the data every k steps, a group of bars a part."""
    parts = {"edge's gain": m.origin.gain, "model": m.origin.model, "within reach": m.origin.within}
    width = 0.8 / len(seeds)
    for s, seed in enumerate(seeds):
        places = np.arange(len(parts)) + (s - (len(seeds) - 1) / 2) * width
        heights, errors = ([float(f[s, 0]) for f in column] for column in _columns(parts.values()))
        bars = 2 * np.array(errors)
        axis.bar(places, heights, width, yerr=bars, color=f"C{s}", capsize=2, label=f"seed {seed}")
    axis.axhline(0, color="0.5", linewidth=0.8)
    axis.set_xticks(range(len(parts)), list(parts))
    axis.set(title="What keeps the overestimate up", ylabel="every k steps")


def _columns(figures: Iterable[Figure]) -> Iterator[tuple[Tensor, ...]]:
    return zip(*((f.mean, f.error) for f in figures), strict=True)


def _by_depth(axis: Axes, depths: Sequence[int]) -> None:
    """Ticks by depth; the edge stands out."""
    axis.set_xlabel("model steps from the data")
    axis.set_xticks(
        list(depths), [*map(str, depths[:-1]), f"{depths[-1]}\nedge"] if len(depths) > 1 else ["0"]
    )
    if len(depths) > 1:
        axis.axvspan(depths[-1] - 0.35, depths[-1] + 0.35, color=BEHAVIOUR, alpha=0.08, linewidth=0)


def _finished(picture: Picture, axes: Sequence[Axes]) -> Picture:
    for axis in axes:
        axis.title.set_fontsize(10)
        axis.xaxis.label.set_fontsize(9)
        axis.yaxis.label.set_fontsize(9)
        axis.tick_params(labelsize=8)
        if axis.get_legend_handles_labels()[0]:
            axis.margins(y=0.25)  # Room for the legend.
            axis.legend(fontsize=7, framealpha=0.6, loc="best")
    picture.tight_layout()
    return picture
