"""One question at a time about the edge of reach, answered by a figure and a stated threshold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from mbrl.core.rows import Row
from mbrl.diagnose.figure import Figure
from mbrl.diagnose.measure import Measured
from mbrl.diagnose.plots import series

SIGMAS = 2.0
"""Standard errors that a difference must exceed to count."""

MATERIAL = 0.25
"""An overestimate counts from this share of the true value on (ours)."""

MOST = 0.5
"""A part explains the overestimate if it is at least this share of what keeps it up (ours)."""

FAR = 0.10
"""Edge states lie outside if at least this share is beyond 95 % of updated states (ours; chance: 0.05)."""

Answer = tuple[bool | None, str]


@dataclass(frozen=True)
class Finding:
    """One question, asked of every seed: holds[s] is its answer, None where there is none. rule: the threshold.

    alarming: which answer speaks for edge-of-reach.
    """

    question: str
    rule: str
    holds: tuple[bool | None, ...]
    detail: tuple[str, ...]
    alarming: bool = True


def material(m: Measured, seeds: int) -> Finding:
    """Is the overestimate at the edge real, and large?"""

    def answer(s: int) -> Answer:
        over, error = _last(m.bias.overestimate["min_soft"], s)
        value = m.bias.value["soft"].mean[s]
        if not _known(over, error):
            return None, "too few rollouts reached the edge at a state that is known"
        size = float(value[[0, -1]].abs().max())
        plain = float(m.bias.value["plain"].mean[s, -1])
        text = f"{over:+.4g} ± {error:.2g}; the true value is {float(value[-1]):.4g} ({plain:.4g} without entropy)"
        return over > SIGMAS * error and over >= MATERIAL * size, text

    return _ask(
        "Do the critics overestimate at the edge?",
        f"smallest Q minus true soft return at depth k: more than {SIGMAS:g} standard errors above 0, and at least "
        f"{MATERIAL:.0%} of the true value at depth 0 or k, whichever is larger",
        m.bias,
        seeds,
        answer,
        m.missing.get("bias", ""),
    )


def edge(m: Measured, seeds: int) -> Finding:
    """Does the edge keep the overestimate up?"""

    def answer(s: int) -> Answer:
        (gain, error), kept = _last(m.origin.gain, s), _kept(m, s)
        if not _known(gain, error):
            return None, "too few rollouts whose states are known"
        total, passed = (_last(f, s)[0] for f in (m.origin.total, m.origin.edge))
        if passed <= 0:
            return False, "the edge is not overestimated"
        text = (
            f"gain {gain:+.4g} ± {error:.2g}; {kept:.4g} keeps up the {total:.4g} at the data, to which targets "
            f"pass on {passed:.4g} from the edge"
        )
        return gain > SIGMAS * error and gain >= MOST * kept, text

    return _ask(
        "Does the overestimate grow with depth, enough to be kept up by the edge?",
        f"gain of the edge over the data states, γᵏ-weighted: more than {SIGMAS:g} standard errors above 0, and at "
        f"least {MOST:.0%} of (1 − γᵏ) × the overestimate at the data, which is what must be fed in every k steps",
        m.origin,
        seeds,
        answer,
        m.missing.get("origin", ""),
    )


def model(m: Measured, seeds: int) -> Finding:
    """Could the model's error keep the overestimate up instead?"""

    def answer(s: int) -> Answer:
        (part, error), kept = _last(m.origin.model, s), _kept(m, s)
        if m.exact:
            return False, "the rollouts are in the true dynamics"
        if not _known(part, error):
            return None, "too few rollouts whose states are known"
        if kept <= 0:
            return False, "the data states are not overestimated"
        text = f"{part:+.4g} ± {error:.2g}; {kept:.4g} keeps the overestimate at the data up"
        return part > SIGMAS * error and part >= MOST * kept, text

    rule = (
        f"k steps in the model, minus the truth: more than {SIGMAS:g} standard errors above 0, and at least "
        f"{MOST:.0%} of (1 − γᵏ) × the overestimate at the data"
    )
    question, why = "Could the model's error explain it instead?", m.missing.get("origin", "")
    return replace(_ask(question, rule, m.origin, seeds, answer, why), alarming=False)


def far(m: Measured, seeds: int) -> Finding:
    """Do edge states lie outside of what updates see?"""

    def answer(s: int) -> Answer:
        ratio, beyond = float(m.nearness.ratio[s]), float(m.nearness.beyond[s])
        if not _known(ratio, beyond):
            return None, "no rollout reached the edge"
        text = f"{beyond:.0%} lie further out than 95 % of updated states; median distance × {ratio:.2f}"
        return beyond >= FAR, text

    return _ask(
        "Do edge states lie outside of what updates see?",
        f"share beyond 95 % of held-out updated states: at least {FAR:.0%} (by chance 5 %)",
        m.nearness,
        seeds,
        answer,
        m.missing.get("nearness", ""),
    )


def pessimism(m: Measured, seeds: int) -> Finding:
    """Is the critics' disagreement as large as what it has to cover?"""

    def answer(s: int) -> Answer:
        there, data = float(m.values["successor"]["penalty"].mean[s, -1]), m.values["data"]["penalty"]
        text = f"effective penalty {there:.4g} at the edge, {float(data.mean[s, 0]):.4g} at the data"
        if m.bias is None:
            return None, text
        over, _ = _last(m.bias.overestimate["mean_soft"], s)
        if not _known(over, there):
            return None, text
        return there >= over, f"{text}; the mean critic overestimates by {over:.4g} at the edge"

    rule = "effective penalty (mean − min over critics) ≥ the mean critic's overestimate, at the edge"
    question = "Does the critics' disagreement cover the edge?"
    return replace(_ask(question, rule, m.values, seeds, answer, ""), alarming=False)


def share(m: Measured, seeds: int) -> Finding:
    """How much of the targets bootstraps from the edge?"""

    def answer(s: int) -> Answer:
        synthetic, batch = float(m.share["synthetic"][s]), float(m.share["batch"][s])
        return None, f"{synthetic:.1%} of synthetic targets that bootstrap, {batch:.1%} of a training batch's"

    rule = "reported, not judged: any truncated rollout has some"
    return _ask("How much of the targets comes from the edge?", rule, m.share, seeds, answer, "")


def over_updates(m: Measured, seeds: Sequence[int], history: Sequence[Row]) -> Finding:
    """Has it grown over the updates?"""
    k = m.horizon
    names = {f"bias/overestimate_depth_{k}": "overestimate", f"reach/q_depth_{k}": "mean Q"}

    def answer(s: int) -> Answer:
        for name, label in names.items():
            updates, values = series(history, name, seeds[s])
            if len(values) >= 4:
                half, text = len(values) // 2, f"{label} at the edge"
                rise = values[-1] - values[half]
                text += (
                    f": {values[half]:.4g} at update {updates[half]:,}, {values[-1]:.4g} at {updates[-1]:,}"
                )
                return bool(rise > MATERIAL * abs(values[half])), text + _returns(history, seeds[s])
        return None, "fewer than 4 looks were logged up to this checkpoint"

    rule = f"latest value above the one half-way through the log by more than {MATERIAL:.0%} of it"
    return _ask("Does it grow over updates?", rule, history, len(seeds), answer, "")


def _returns(history: Sequence[Row], seed: int) -> str:
    _, values = series(history, "eval/return", seed)
    return f"; return {values[len(values) // 2]:.4g}, then {values[-1]:.4g}" if len(values) >= 4 else ""


def _kept(m: Measured, s: int) -> float:
    """(1 - gamma^k) total: what has to be fed into the overestimate at the data every k steps."""
    return sum(_last(part, s)[0] for part in (m.origin.gain, m.origin.model, m.origin.within))


def _last(figure: Figure, s: int) -> tuple[float, float]:
    """Mean and standard error at the last place, which is the edge for figures by depth."""
    return float(figure.mean[s, -1]), float(figure.error[s, -1])


def _known(*numbers: float | Tensor) -> bool:
    return all(x == x for x in numbers)


def _ask(
    question: str, rule: str, present: object, seeds: int, answer: Callable[[int], Answer], why: str
) -> Finding:
    """The finding with each seed's answer, or with none, for the reason why, where the figures are missing."""
    if present is None:
        return Finding(question, rule, (None,) * seeds, (why,) * seeds)
    return Finding(question, rule, *zip(*(answer(s) for s in range(seeds)), strict=True))
