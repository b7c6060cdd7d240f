"""One set of runs against another: which methods belong together, and their paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbrl.core.errors import MismatchError
from mbrl.diagnose.runs.groups import Group, Settings, differing
from mbrl.diagnose.runs.record import FIGURES, SCALES
from mbrl.diagnose.stats import Interval, mean, paired_bootstrap, probability_of_improvement

ALL = "all datasets"


@dataclass(frozen=True)
class Difference:
    """A method against another on a dataset, over the seeds that finished in both: mean of a - b and its interval.

    probability: that a run of a is better than one of b (Agarwal et al. 2021), of the same seeds.
    """

    method: str
    against: str
    dataset: str
    scale: str
    figure: str
    pairs: int
    mean: float
    mean_against: float
    difference: float
    interval: Interval | None
    won: int
    probability: float


@dataclass(frozen=True)
class Comparison:
    """All differences; methods of either side without a counterpart; pairs that share no finished seed."""

    differences: list[Difference]
    unmatched: list[str]
    unfinished: list[str]


def compare(ours: Sequence[Group], theirs: Sequence[Group]) -> Comparison:
    """Every method of `ours` against its counterpart, on every dataset both have, paired by seed.

    The counterpart is the only method of `theirs`, if there is one, else the one with equal settings, apart from
    options of which the sides share no value: in those the sides differ. A method with several such counterparts
    has none. Raises MismatchError where nothing belongs together.
    """
    partners = _partners(_methods(ours), _methods(theirs))
    found: list[Difference] = []
    for method, against in partners.items():
        a = {group.dataset: group for group in ours if group.method == method}
        b = {group.dataset: group for group in theirs if group.method == against}
        shared = [(a[name], b[name]) for name in a if name in b]
        found += [d for pair in shared for d in _differences([pair], pair[0].dataset, SCALES)]
        if len(shared) > 1:
            found += _differences(shared, ALL, ["normalized"])
    if not found:
        raise MismatchError(
            "no method of one set of runs has a single counterpart in the other, with a dataset and a seed that "
            "finished in both. Compare against one method, or sets that differ in the same options throughout; "
            f"here they differ in {', '.join(differing(g.settings for g in [*ours, *theirs])[:12]) or 'none'}"
        )
    lone = [g.method for g in ours if g.method not in partners]
    lone += [g.method for g in theirs if g.method not in partners.values()]
    compared = {d.method for d in found}
    unfinished = [f"{a} and {b}" for a, b in partners.items() if a not in compared]
    return Comparison(found, list(dict.fromkeys(lone)), unfinished)


def _partners(ours: Mapping[str, Settings], theirs: Mapping[str, Settings]) -> dict[str, str]:
    """{method: its counterpart}."""
    if len(theirs) == 1:
        return dict.fromkeys(ours, next(iter(theirs)))
    keys = {key for found in [*ours.values(), *theirs.values()] for key in found}
    apart = {key for key in keys if not _values(key, ours) & _values(key, theirs)}
    identity: dict[str, list[str]] = {}
    for name, found in theirs.items():
        identity.setdefault(_identity(name, found, apart), []).append(name)
    partners = {name: identity.get(_identity(name, found, apart), []) for name, found in ours.items()}
    return {name: found[0] for name, found in partners.items() if len(found) == 1}


def _values(key: str, methods: Mapping[str, Settings]) -> set[str]:
    """The values of an option on one side; where it has no such option, that counts as a value."""
    return {repr(found.get(key, "no such option")) for found in methods.values()}


def _identity(name: str, found: Settings, apart: set[str]) -> str:
    """What makes a method itself within its side: its settings, or its name where it has none."""
    return repr(sorted((k, repr(v)) for k, v in found.items() if k not in apart)) if found else name


def _methods(groups: Sequence[Group]) -> dict[str, Settings]:
    return {group.method: group.settings for group in groups}


def _differences(
    pairs: Sequence[tuple[Group, Group]], dataset: str, scales: Sequence[str]
) -> list[Difference]:
    """All scores that every one of these pairs of groups (one a dataset) has."""
    found = []
    for scale, figure in ((s, f) for s in scales for f in FIGURES):
        strata = [_paired(a.values(scale, figure), b.values(scale, figure)) for a, b in pairs]
        if all(len(a) for a, _ in strata):
            names = pairs[0][0].method, pairs[0][1].method
            found.append(_difference(strata, *names, dataset, scale, figure))
    return found


def _paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the seeds both have, in one order."""
    seeds = sorted(a.keys() & b.keys())
    return np.array([a[s] for s in seeds], dtype=float), np.array([b[s] for s in seeds], dtype=float)


def _difference(
    strata: Sequence[tuple[np.ndarray, np.ndarray]],
    method: str,
    against: str,
    dataset: str,
    scale: str,
    figure: str,
) -> Difference:
    a, b = (np.concatenate(side) for side in zip(*strata, strict=True))
    return Difference(
        method,
        against,
        dataset,
        scale,
        figure,
        pairs=len(a),
        mean=float(mean(a)),
        mean_against=float(mean(b)),
        difference=float(mean(a - b)),
        interval=paired_bootstrap(strata),
        won=int((a > b).sum()),
        probability=probability_of_improvement(strata),
    )
