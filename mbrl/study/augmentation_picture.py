"""The picture of the study mamujoco, drawn from its rows alone."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mbrl.diagnose.picture_file import write_picture
from mbrl.study.outputs import Row
from mbrl.study.panels import (
    RETURN,
    behaviour,
    caption,
    colours,
    column,
    curves,
    distinct,
    dots,
    endings,
    panels,
    same_scale,
    spread,
)

NAMES = {
    "none": "no augmentation",
    "pjap": "PJAP",
    "static": "static",
    "refreshed_unguided": "refreshed, unguided",
    "coda": "CODA",
    "coda_rollout": "CODA and rollouts",
}


def draw_augmentation(rows: Sequence[Row], path: Path) -> None:
    """A line a dataset: mean of the last returns by augmentation, how far samples are from the policy, and the
    returns over updates of every learner; a colour a learner, in the curves one an augmentation."""
    datasets, learners = distinct(rows, "dataset"), distinct(rows, "learner")
    kinds = distinct(rows, "augmentation")
    tried = {(row["learner"], row["augmentation"]) for row in rows}
    curved = [learner for learner in learners if sum(learner == of for of, _ in tried) > 1]
    figure, axes = panels(len(datasets), 2 + len(curved), width=4.0, height=1.4 + 0.5 * len(kinds))
    figure.set_layout_engine("constrained")
    for line, dataset in zip(axes, datasets, strict=True):
        here = [row for row in rows if row["dataset"] == dataset]
        _by_kind(line[0], here, "return_mean_last_10", kinds, learners)
        behaviour(line[0], here, upright=True)
        line[0].set_xlabel(f"{RETURN}, mean of the last 10", fontsize=8)
        line[0].set_title(str(dataset) if len(datasets) > 1 else "last returns", fontsize=9)
        _by_kind(line[1], here, "action_distance", kinds, learners)
        line[1].set_xlim(left=0)
        line[1].set_xlabel("RMS of drawn joint actions less the policy's", fontsize=8)
        line[1].set_title("distance of the samples", fontsize=9)
        _courses(line[2:], here, curved, kinds)
    figure.suptitle(caption(rows, "Augmentation of joint data"), fontsize=10)
    _legends(figure, axes[0])
    write_picture(figure, path, dpi=130)


def _by_kind(
    axis: Axes, rows: Sequence[Row], name: str, kinds: Sequence[str], learners: Sequence[str]
) -> None:
    """A line an augmentation, a dot a seed, a bar at their mean."""
    palette, shift = colours(learners), dict(zip(learners, spread(len(learners)), strict=True))
    for row in rows:
        place = kinds.index(row["augmentation"]) + shift[row["learner"]]
        dots(axis, place, column(row, name), colour=palette[row["learner"]], label=row["learner"])
        endings(axis, row, place)
    axis.set_yticks(range(len(kinds)), [NAMES.get(kind, kind) for kind in kinds], fontsize=8)
    axis.set_ylim(len(kinds) - 0.5, -0.5)
    for between in range(1, len(kinds)):
        axis.axhline(between - 0.5, color="0.88", linewidth=0.8)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)


def _courses(
    line: Sequence[Axes], rows: Sequence[Row], learners: Sequence[str], kinds: Sequence[str]
) -> None:
    """Returns over updates, a panel a learner, all on one scale."""
    palette = colours(kinds)
    for axis, learner in zip(line, learners, strict=True):
        for row in rows:
            if row["learner"] == learner:
                kind = row["augmentation"]
                curves(axis, row, "return_curve", colour=palette[kind], label=NAMES.get(kind, kind))
        behaviour(axis, rows)
        axis.set_title(learner, fontsize=9)
        axis.set_xlabel("updates", fontsize=8)
        axis.set_ylabel(RETURN, fontsize=8)
        axis.tick_params(labelsize=8)
    if learners:
        same_scale(line)


def _legends(figure: Figure, line: Sequence[Axes]) -> None:
    """Below all panels, where they cover nothing: learners on the left, augmentations on the right."""
    sides = {"outside lower left": line[0]} | ({"outside lower right": line[2]} if len(line) > 2 else {})
    for place, axis in sides.items():
        handles, labels = axis.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        if named:
            look = {"ncols": len(named), "fontsize": 8, "frameon": False}
            figure.legend(named.values(), named.keys(), loc=place, **look)
