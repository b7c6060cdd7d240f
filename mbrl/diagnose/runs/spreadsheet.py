"""Figures as CSV, at full precision: for spreadsheets and other programs."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from mbrl.diagnose.runs.compare import Comparison
from mbrl.diagnose.runs.record import ENDINGS, FIGURES, SCALES, Record
from mbrl.diagnose.runs.summary import Score, Summary

PARTS = ("seeds", "mean", "std", "iqm", "iqm_low", "iqm_high")


def scores_csv(summaries: Sequence[tuple[str, Summary]]) -> str:
    """(side, summary): a line a method and dataset; <scale>_<figure>_<part> for every score."""
    heads = ["side", "dataset", "method", "runs", "seeds", *ENDINGS]
    heads += [f"{s}_{f}_{part}" for s in SCALES for f in FIGURES for part in PARTS]
    lines = []
    for side, found in summaries:
        group = found.group
        first = [side, group.dataset, group.method, len(group.records), group.size]
        first += [group.seeds(end) for end in ENDINGS]
        values = [value for place in found.scores for value in _parts(found.scores[place])]
        lines.append([*first, *values])
    return _csv(heads, lines)


def seeds_csv(records: Sequence[tuple[str, Record]]) -> str:
    """(side, record): a line a seed and run; <scale>_<figure> for every score."""
    heads = ["side", "run", "folder", "dataset", "seed", "status", "updates"]
    heads += [f"{s}_{f}" for s in SCALES for f in FIGURES]
    lines = []
    for side, record in records:
        for seed, end in record.ended.items():
            values = [record.value(s, f, seed) for s in SCALES for f in FIGURES]
            where = [side, record.name, str(record.folder), record.dataset.get("id")]
            lines.append([*where, seed, end, record.result.get("updates"), *values])
    return _csv(heads, lines)


def comparison_csv(found: Comparison) -> str:
    """A line a method, dataset and score."""
    heads = ["dataset", "method", "against", "scale", "figure", "pairs", "mean", "mean_against", "difference"]
    heads += ["low", "high", "won", "probability"]
    lines = []
    for d in found.differences:
        ends = d.interval or (None, None)
        first = [d.dataset, d.method, d.against, d.scale, d.figure, d.pairs, d.mean, d.mean_against]
        lines.append([*first, d.difference, *ends, d.won, d.probability])
    return _csv(heads, lines)


def _parts(found: Score | None) -> list[Any]:
    if found is None:
        return [0, *[None] * (len(PARTS) - 1)]
    return [found.seeds, found.mean, found.std, found.iqm, *(found.interval or (None, None))]


def _csv(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Empty cells for what is not there or not finite."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for line in lines:
        writer.writerow(["" if isinstance(v, float) and not math.isfinite(v) else v for v in line])
    return text.getvalue()
