"""Tables of a report: heads and rows of text, the same for Markdown and HTML."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mbrl.diagnose.runs.compare import Comparison
from mbrl.diagnose.runs.groups import Group, differing
from mbrl.diagnose.runs.record import ENDINGS, FIGURES, SCALES, Record
from mbrl.diagnose.runs.summary import Overall, Score, Summary

NONE = "-"


class Table(NamedTuple):
    """heads [n]; rows of n cells; notes say what a reader must know of the figures."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    note: str = ""


NOTE = (
    "Figures count the seeds that finished; those that diverged, were interrupted or have no result yet are "
    "counted beside them. std is over seeds, with n - 1. IQM: the mean of the middle half of the seeds (Agarwal et "
    "al. 2021), of fewer than four the mean; its interval is the bootstrap's 95%, too narrow for a few seeds. best "
    "is the best of all evaluations: it selects by return in the real environment, which an offline method has not "
    "got. normalized: 0 random, 100 expert; none where the dataset has no reference scores."
)


def scores(summaries: Sequence[Summary], figure: str, title: str, note: str = NOTE) -> Table:
    """A row a method and dataset: one figure, raw and normalised side by side, seeds and failures counted."""
    heads = ["dataset", "method", "runs", "seeds finished", "seeds that failed"]
    heads += [f"{s}, {what}" for s in SCALES for what in ("mean ± std", "IQM [95% interval]")]
    rows = []
    for found in summaries:
        group = found.group
        counts = [f"{group.seeds('finished')} of {group.size}", ending_counts(group, ENDINGS[1:]) or NONE]
        cells = [cell for s in SCALES for cell in _score(found.scores[s, figure])]
        rows.append([group.dataset, group.method, str(len(group.records)), *counts, *cells])
    return Table(title, heads, rows, note)


def ending_counts(group: Group, endings: Sequence[str] = ENDINGS) -> str:
    """'1 diverged, 2 interrupted': how many seeds of a group ended in these ways, if any."""
    counts = {end: group.seeds(end) for end in endings}
    return ", ".join(f"{n} {end}" for end, n in counts.items() if n)


def over_datasets(found: Sequence[Overall]) -> Table:
    """A row a method: normalised scores over all datasets."""
    heads = ["method", "datasets", "seeds"]
    heads += [f"{name}: {what}" for name in FIGURES.values() for what in ("mean ± std", "IQM [95% interval]")]
    rows = []
    for each in found:
        cells = [cell for figure in FIGURES for cell in _score(each.scores.get(figure))]
        rows.append([each.method, str(each.datasets), str(next(iter(each.scores.values())).seeds), *cells])
    note = "Normalised scores of all seeds of all datasets in one list; intervals redraw seeds within each dataset."
    return Table("Over datasets", heads, rows, note)


def comparison(found: Comparison) -> Table:
    """A row a method, dataset and score: the paired difference."""
    heads = ["dataset", "method", "against", "score", "pairs", "mean", "mean against"]
    heads += ["difference [95% interval]", "seeds won", "P(better)"]
    rows = []
    for d in found.differences:
        spread = f" [{number(d.interval.low)}, {number(d.interval.high)}]" if d.interval else ""
        rows.append(
            [
                *(d.dataset, d.method, d.against, f"{d.scale}, {FIGURES[d.figure]}", str(d.pairs)),
                *(number(d.mean), number(d.mean_against), number(d.difference) + spread),
                *(f"{d.won} of {d.pairs}", f"{d.probability:.2f}"),
            ]
        )
    note = (
        "Seeds that finished on both sides, paired; intervals redraw pairs, within each dataset. P(better): that a "
        "run is better than one of the other side, ties half (Agarwal et al. 2021)."
    )
    if found.unmatched:
        note += f" Without a counterpart: {', '.join(found.unmatched)}."
    if found.unfinished:
        note += f" Without a seed that finished on both sides: {', '.join(found.unfinished)}."
    return Table("Paired comparison", heads, rows, note)


def failures(records: Sequence[Record]) -> Table:
    """A row a seed that did not finish: how far it came, and why."""
    rows = []
    for record in records:
        for seed, end in record.ended.items():
            if end != "finished":
                lost = (record.result.get("diverged") or {}).get(str(seed))
                lost = lost if isinstance(lost, dict) else {}
                at = lost.get("update", record.result.get("updates"))
                rows.append(
                    [
                        record.name,
                        str(seed),
                        end,
                        NONE if at is None else str(at),
                        lost.get("diagnosis", NONE),
                    ]
                )
    return Table("Seeds that did not finish", ["run", "seed", "how it ended", "updates", "diagnosis"], rows)


def seeds(records: Sequence[Record]) -> Table:
    """A row a seed and run, with every score."""
    heads = [
        "run",
        "dataset",
        "seed",
        "status",
        *(f"{s} {name}" for s in SCALES for name in FIGURES.values()),
    ]
    rows = []
    for record in records:
        for seed, end in record.ended.items():
            values = [record.value(s, f, seed) for s in SCALES for f in FIGURES]
            first = [record.name, str(record.dataset.get("id", NONE)), str(seed), end]
            rows.append([*first, *(NONE if v is None else number(v) for v in values)])
    return Table("Seeds", heads, rows)


def settings(groups: Sequence[Group]) -> Table:
    """A row a method: the options in which methods differ."""
    methods = {group.method: group.settings for group in groups}
    keys = differing(found for found in methods.values() if found)
    rows = [
        [name, *(_plain(found.get(key, NONE)) for key in keys)] for name, found in methods.items() if found
    ]
    note = "" if keys else "No option differs, or no run has a config.yaml."
    return Table("Settings that differ", ["method", *keys], rows if keys else [], note)


def data(records: Sequence[Record]) -> Table:
    """A row a dataset and version: what it is, and the behaviour's mean return."""
    heads = [
        "dataset",
        "sha256",
        "transitions",
        "behaviour's mean return",
        "environment",
        "agents",
        "mujoco",
        "runs",
    ]
    rows: dict[tuple[str, ...], int] = {}
    for record in (r for r in records if r.dataset):
        found, env = record.dataset, record.dataset.get("env")
        mujoco = (record.result.get("versions") or {}).get("mujoco", NONE)
        row = (
            *(str(found["id"]), str(found["sha256"])[:12], str(found.get("transitions", NONE))),
            number(found["return_mean"]) if isinstance(found.get("return_mean"), int | float) else NONE,
            *(str(env.get("id")) if isinstance(env, dict) else NONE, _agents(found), str(mujoco)),
        )
        rows[row] = rows.get(row, 0) + 1
    return Table("Data", heads, [[*row, str(n)] for row, n in rows.items()])


def number(value: float) -> str:
    """With as many places as a reader needs: games pay between -1 and 1, MuJoCo thousands."""
    if math.isnan(value):
        return NONE
    places = (
        0
        if value == 0
        else 3
        if abs(value) < 1
        else 2
        if abs(value) < 10
        else 1
        if abs(value) < 10_000
        else 0
    )
    return f"{value:.{places}f}"


def _score(found: Score | None) -> list[str]:
    if found is None:
        return [NONE, NONE]
    spread = f" [{number(found.interval.low)}, {number(found.interval.high)}]" if found.interval else ""
    std = "" if math.isnan(found.std) else f" ± {number(found.std)}"
    return [number(found.mean) + std, number(found.iqm) + spread]


def _agents(dataset: Mapping[str, Any]) -> str:
    agents = dataset.get("agents")
    return str(len(agents["obs_dims"])) if isinstance(agents, dict) and "obs_dims" in agents else "1"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
