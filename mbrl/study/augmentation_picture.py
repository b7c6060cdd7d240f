"""The picture of the study mamujoco, drawn from its rows alone."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

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
    finish,
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
    curved = [learner for learner in learners if sum(row["learner"] == learner for row in rows) > 1]
    figure, axes = panels(len(datasets), 2 + len(curved), width=4.2, height=1.6 + 0.36 * len(kinds))
    for line, dataset in zip(axes, datasets, strict=True):
        here = [row for row in rows if row["dataset"] == dataset]
        _by_kind(line[0], here, "return_mean_last_10", kinds, learners)
        line[0].set_xlabel(f"{RETURN}, mean of the last 10", fontsize=8)
        line[0].set_title(str(dataset), fontsize=8)
        behaviour(line[0], here, upright=True)
        _by_kind(line[1], here, "action_distance", kinds, learners)
        line[1].set_yticks([])
        line[1].set_xlabel("distance of the drawn joint actions to the policy's", fontsize=8)
        palette = colours(kinds)
        for axis, learner in zip(line[2:], curved, strict=True):
            for row in here:
                if row["learner"] == learner:
                    kind = row["augmentation"]
                    curves(axis, row, "return_curve", colour=palette[kind], label=NAMES.get(kind, kind))
            behaviour(axis, here)
            axis.set_title(learner, fontsize=9)
            axis.set_xlabel("updates", fontsize=8)
            axis.set_ylabel(RETURN, fontsize=8)
        if curved:
            same_scale(line[2:])
    finish(figure, path, caption(rows, "Augmentation of joint data"))


def _by_kind(
    axis: Axes, rows: Sequence[Row], name: str, kinds: Sequence[str], learners: Sequence[str]
) -> None:
    palette, shift = colours(learners), dict(zip(learners, spread(len(learners)), strict=True))
    for row in rows:
        place = kinds.index(row["augmentation"]) + shift[row["learner"]]
        dots(axis, place, column(row, name), colour=palette[row["learner"]], label=row["learner"])
        endings(axis, row, place)
    axis.set_yticks(range(len(kinds)), [NAMES.get(kind, kind) for kind in kinds], fontsize=7)
    axis.set_ylim(len(kinds) - 0.5, -0.5)
    axis.grid(axis="y", color="0.92")
