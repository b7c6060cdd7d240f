"""The reach audit: does this run suffer from edge-of-reach states, and why? One page and one JSON file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mbrl.core.files import write_output
from mbrl.core.rows import Row
from mbrl.diagnose.as_json import as_json
from mbrl.diagnose.captions import CAPTIONS, LIMITS
from mbrl.diagnose.edge_of_reach import propagation
from mbrl.diagnose.figure import Figure
from mbrl.diagnose.findings import Finding
from mbrl.diagnose.measure import Measured
from mbrl.diagnose.page import document, facts, image, table, tag
from mbrl.diagnose.pictures import pictures
from mbrl.diagnose.verdict import Verdict, judge

ANSWERS = {True: "yes", False: "no", None: "–"}


def write_audit(
    folder: Path | str,
    measured: Measured,
    seeds: Sequence[int],
    gamma: float | None,
    about: Mapping[str, Any],
    history: Sequence[Row] = (),
) -> Path:
    """Write audit.json and audit.html; returns the page. gamma: the agent's, None where it has no values.

    about: what was audited and how, JSON-ready, shown at the end of the page. The same arguments give the same
    bytes. Raises ConfigError for a file that cannot be written.
    """
    folder, verdict = Path(folder), judge(measured, seeds, history)
    found = {"about": dict(about), "seeds": list(seeds), "verdict": as_json(verdict), **as_json(measured)}
    if gamma is not None:
        found["propagation"] = propagation(gamma, measured.horizon).tolist()
    write_output(folder / "audit.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    write_output(folder / "audit.html", page(measured, verdict, seeds, gamma, about, history))
    return folder / "audit.html"


def page(
    measured: Measured,
    verdict: Verdict,
    seeds: Sequence[int],
    gamma: float | None,
    about: Mapping[str, Any],
    history: Sequence[Row],
) -> str:
    """The whole page."""
    title = f"Reach audit: {about.get('run', 'a run')}"
    body = [tag("h1", title), tag("p", _subject(about, measured, seeds), "note")]
    name, _, reason = verdict.sentence.partition(": ")
    body.append(f'<div class="verdict">{tag("strong", name)}{tag("span", reason)}</div>')
    if verdict.findings:
        body += [tag("h2", "What this rests on (± one standard error)"), _findings(verdict, seeds)]
    drawn = pictures(measured, seeds, history)
    for part, (heading, caption) in CAPTIONS.items():
        shown = [image(drawn[part], heading)] if part in drawn else []
        shown += _tables(part, measured, seeds, gamma)
        if shown:
            body += [tag("h2", heading), tag("p", caption), *shown]
    if measured.missing:
        body += [tag("h2", "What could not be measured"), facts(measured.missing)]
    body += [tag("h2", "Limits"), *(tag("p", text) for text in LIMITS)]
    body += [tag("h2", "What was audited"), facts({name: _text(value) for name, value in about.items()})]
    return document(title, body)


def _text(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)


def _subject(about: Mapping[str, Any], m: Measured, seeds: Sequence[int]) -> str:
    where = f"rollouts of k = {m.horizon} steps" if m.horizon else "no model rollouts"
    return (
        f"{about.get('agent', '')} on {about.get('dataset', '')}, {where}, "
        f"{about.get('checkpoint', 'checkpoint')} at update {about.get('update', 0):,}, seeds {list(seeds)}"
    )


def _findings(verdict: Verdict, seeds: Sequence[int]) -> str:
    """A row a question; an answer a seed, coloured where it speaks for edge-of-reach or against it."""
    heads = ["question", *(f"seed {s}" for s in seeds), "threshold"]
    rows, kinds = [], []
    for finding in verdict.findings:
        cells = [
            f"{ANSWERS[holds]}: {text}" for holds, text in zip(finding.holds, finding.detail, strict=True)
        ]
        rows.append([finding.question, *cells, finding.rule])
        kinds.append(["", *(_kind(finding, holds) for holds in finding.holds), ""])
    return table(heads, rows, kinds)


def _kind(finding: Finding, holds: bool | None) -> str:
    if holds is None:
        return ""
    return "yes" if holds == finding.alarming else "no"


def _tables(part: str, m: Measured, seeds: Sequence[int], gamma: float | None) -> list[str]:
    """The numbers beside a picture."""
    if part == "values" and m.values:
        return [_values_table(m, seeds)]
    if part == "overestimate" and m.bias:
        return _overestimate_table(m, seeds, gamma)
    if part == "correlation" and m.correlation:
        return [_correlation_table(m, seeds)]
    if part == "model_error" and m.one_step:
        left_out = m.one_step.left_out.sum(-1).tolist()
        return [
            tag("p", f"Rows left out because their simulator state is not known, a seed: {left_out}.", "note")
        ]
    return []


def _values_table(m: Measured, seeds: Sequence[int]) -> str:
    names = {"q_mean": "mean Q", "q_min": "smallest Q", "q_std": "std over critics", "penalty": "mean − min"}
    places = {"data": ("data", 0)}
    if m.horizon:
        places |= {"last updated step": ("own", -1), "edge": ("successor", -1)}
    heads = ["seed", "states", *names.values()]
    rows = [
        [str(seed), place, *(_number(m.values[where][name], s, t) for name in names)]
        for s, seed in enumerate(seeds)
        for place, (where, t) in places.items()
    ]
    return table(heads, rows, [["", "", *["number"] * len(names)]] * len(rows))


def _overestimate_table(m: Measured, seeds: Sequence[int], gamma: float | None) -> list[str]:
    bias = m.bias
    heads = [
        "seed",
        "depth",
        "smallest Q − return",
        "mean Q − return",
        "true soft return",
        "true plain return",
    ]
    heads += ["states", "left out", "rollouts alive", "γ^(k−t)"]
    weights = propagation(gamma, m.horizon)
    rows = []
    for s, seed in enumerate(seeds):
        for d in range(m.horizon + 1):
            figures = (bias.overestimate["min_soft"], bias.overestimate["mean_soft"], *bias.value.values())
            cells = [_number(f, s, d) for f in figures]
            counts = [f"{int(figures[0].count[s, d]):,}", f"{int(bias.left_out[s, d]):,}"]
            shares = [f"{float(bias.reached[s, d]):.0%}", f"{float(weights[d]):.3f}"]
            rows.append([str(seed), str(d), *cells, *counts, *shares])
    bound = f"Returns are cut off after the stated horizon, which leaves out at most {bias.truncation:.3g} of each."
    return [table(heads, rows, [["number"] * len(heads)] * len(rows)), tag("p", bound, "note")]


def _correlation_table(m: Measured, seeds: Sequence[int]) -> str:
    heads = ["measure", "seed", "Pearson (std)", "Pearson (variance)", "Spearman", ""]
    rows = []
    for name, c in m.correlation.items():
        for s, seed in enumerate(seeds):
            numbers = [float(x[s]) for x in (c.pearson, c.pearson_variance, c.spearman)]
            cells = ["–" if x != x else f"{x:.3f}" for x in numbers]
            rows.append([name, str(seed), *cells, c.reason[s]])
    return table(heads, rows, [["", "", *["number"] * 3, ""]] * len(rows))


def _number(figure: Figure, s: int, t: int) -> str:
    """Mean ± standard error."""
    mean, error = float(figure.mean[s, t]), float(figure.error[s, t])
    return "–" if mean != mean else f"{mean:.4g} ± {error:.2g}"
