"""A group of runs as figures: mean, deviation, interquartile mean and its interval, for every score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbrl.diagnose.runs.groups import Group
from mbrl.diagnose.runs.record import FIGURES, SCALES
from mbrl.diagnose.stats import Interval, deviation, iqm, mean, stratified_bootstrap


@dataclass(frozen=True)
class Score:
    """One score over seeds. std is NaN, and interval None, where there are too few."""

    seeds: int
    mean: float
    std: float
    iqm: float
    interval: Interval | None


@dataclass(frozen=True)
class Summary:
    """A method on a dataset: {(scale, figure): score}, None where no seed has one."""

    group: Group
    scores: dict[tuple[str, str], Score | None]


@dataclass(frozen=True)
class Overall:
    """A method's normalised scores {figure: score} over several datasets, which are the strata."""

    method: str
    datasets: int
    scores: dict[str, Score]


def summarise_group(group: Group) -> Summary:
    """All scores of a group."""
    places = [(scale, figure) for scale in SCALES for figure in FIGURES]
    return Summary(group, {place: score([list(group.values(*place).values())]) for place in places})


def score(strata: Sequence[Sequence[float]]) -> Score | None:
    """A score of values [n_k] a dataset; None where a dataset has none."""
    parts = [np.array(values, dtype=float) for values in strata]
    if not parts or not all(len(part) for part in parts):
        return None
    joint = np.concatenate(parts)
    return Score(
        len(joint),
        float(mean(joint)),
        deviation(joint),
        float(iqm(joint)),
        stratified_bootstrap(parts, iqm),
    )


def overall(groups: Sequence[Group]) -> list[Overall]:
    """Methods that have normalised scores on every dataset there is, if there are several."""
    datasets = {group.dataset for group in groups}
    methods: dict[str, list[Group]] = {}
    for group in groups:
        methods.setdefault(group.method, []).append(group)
    found = []
    for method, parts in methods.items():
        if len(parts) == len(datasets) > 1:
            scores = {f: score([list(g.values("normalized", f).values()) for g in parts]) for f in FIGURES}
            known = {figure: value for figure, value in scores.items() if value is not None}
            found += [Overall(method, len(parts), known)] if known else []
    return found
