"""What the figures say about the edge of reach, in words, and nothing beyond them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mbrl.core.rows import Row
from mbrl.diagnose import findings
from mbrl.diagnose.findings import Finding
from mbrl.diagnose.measure import NO_CRITICS, Measured

LIKELY = "edge-of-reach likely"
MODEL = "overestimated, the model's error may explain it"
UNCLEAR = "overestimated, the edge is not singled out"
CLEAR = "no overestimate at the edge"
UNKNOWN = "cannot tell"
NO_EDGE = "not applicable"
REASONS = {
    LIKELY: "the critics promise materially more at states that only the last rollout step reaches than the policy "
    "collects from there, more than at the data; this excess is large enough to keep the overestimate at the "
    "data up, and the model's error is not",
    MODEL: "the critics promise materially more than the policy collects, but k steps in the model overstate the "
    "truth by enough to keep that up",
    UNCLEAR: "the critics promise materially more at the last rollout step's states than the policy collects from "
    "there, but not so much more than elsewhere, or at states so far from updated ones, that the edge must be "
    "the origin",
    CLEAR: "at this checkpoint the smallest critic does not promise materially more at the last rollout step's "
    "states than the policy collects from there",
    UNKNOWN: "what the policy really collects from the last rollout step's states is not known",
}
ORDER = (*REASONS, NO_EDGE)
"""Every verdict there is; of two that are as frequent among seeds, the first is the run's."""


@dataclass(frozen=True)
class Verdict:
    """name and sentence for the run, by_seed [S] each seed's own, and the findings they rest on."""

    name: str
    sentence: str
    by_seed: tuple[str, ...]
    findings: tuple[Finding, ...]


def judge(measured: Measured, seeds: Sequence[int], history: Sequence[Row] = ()) -> Verdict:
    """The verdict on what was measured; history: rows of metrics.jsonl up to the checkpoint."""
    if measured.horizon == 0:
        return _none("there are no model rollouts, so no state is reached by their last step alone", seeds)
    if measured.values is None:
        return _none(f"{NO_CRITICS}, so nothing is bootstrapped", seeds)
    asked = (findings.material, findings.edge, findings.model, findings.far)
    decisive = [ask(measured, len(seeds)) for ask in asked]
    by_seed = tuple(one_seed(*answers) for answers in zip(*(f.holds for f in decisive), strict=True))
    others = [ask(measured, len(seeds)) for ask in (findings.pessimism, findings.share)]
    others.append(findings.over_updates(measured, seeds, history))
    counted = Counter(by_seed)
    name = max(ORDER, key=lambda n: (counted[n], -ORDER.index(n)))
    return Verdict(name, _sentence(name, counted, measured), by_seed, (*decisive, *others))


def one_seed(material: bool | None, edge: bool | None, model: bool | None, far: bool | None) -> str:
    """A seed's verdict from the answers it rests on; an edge that is not far out is no edge of reach."""
    if material is None:
        return UNKNOWN
    if not material:
        return CLEAR
    if model:
        return MODEL
    return LIKELY if edge and far is not False else UNCLEAR


def _sentence(name: str, counted: Counter[str], measured: Measured) -> str:
    others = "; ".join(f"{n} in {counted[n]}" for n in ORDER if counted[n] and n != name)
    share = f" in {counted[name]} of {sum(counted.values())} seeds ({others})" if others else ""
    why = f" ({measured.missing['bias']})" if name == UNKNOWN and "bias" in measured.missing else ""
    return f"{name}{share}: {REASONS[name]}{why}."


def _none(why: str, seeds: Sequence[int]) -> Verdict:
    return Verdict(NO_EDGE, f"{NO_EDGE}: {why}.", (NO_EDGE,) * len(seeds), ())
