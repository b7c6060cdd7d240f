"""Verdicts follow from stated thresholds, one at a time."""

from dataclasses import replace

import pytest
import torch

from mbrl.diagnose import findings
from mbrl.diagnose.figure import Figure
from mbrl.diagnose.measure import NO_CRITICS, Measured
from mbrl.diagnose.nearness import Nearness
from mbrl.diagnose.origin import Origin
from mbrl.diagnose.value_bias import ValueBias
from mbrl.diagnose.verdict import CLEAR, LIKELY, MODEL, NO_EDGE, UNCLEAR, UNKNOWN, judge, one_seed

K = 2
NAN = float("nan")


def figure(*means, error=1.0, seeds=1):
    mean = torch.tensor([means] * seeds, dtype=torch.float64)
    return Figure(mean, torch.full_like(mean, error), torch.full_like(mean, 50))


def measured(
    *, over=(40.0, 45.0, 50.0), error=1.0, true=(100.0, 100.0, 100.0), parts=(40.0, 38.0, 0.0, 2.0, 5.0)
):
    """One seed. parts: total, edge, model, within, gain."""
    overs = figure(*over, error=error)
    bias = ValueBias(
        value={"soft": figure(*true), "plain": figure(*true)},
        overestimate={"min_soft": overs, "mean_soft": overs},
        left_out=torch.zeros(1, K + 1),
        reached=torch.ones(1, K + 1),
        truncation=0.1,
        per_row={},
        known=[],
    )
    near = Nearness(
        torch.ones(1, K + 1, 3), torch.ones(1, 3), torch.tensor([1.5]), torch.tensor([0.3]), neighbours=5
    )
    values = {
        "data": {n: figure(3.0) for n in ("q_mean", "q_min", "q_std", "penalty")},
        "successor": {n: figure(4.0, 7.0) for n in ("q_mean", "q_min", "q_std", "penalty")},
    }
    share = {"synthetic": torch.tensor([0.5]), "batch": torch.tensor([0.475])}
    origin = Origin(*(figure(x, error=error) for x in parts))
    return Measured(K, values=values, share=share, bias=bias, origin=origin, nearness=near)


def name(m):
    return judge(m, [0]).name


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((True, True, False, True), LIKELY),
        ((True, True, False, None), LIKELY),
        ((True, True, False, False), UNCLEAR),
        ((True, False, False, True), UNCLEAR),
        ((True, None, None, True), UNCLEAR),
        ((True, True, True, True), MODEL),
        ((False, True, True, True), CLEAR),
        ((None, None, None, True), UNKNOWN),
    ],
)
def test_a_seeds_verdict_from_its_answers(answers, verdict):
    assert one_seed(*answers) == verdict


def test_all_signs_of_the_edge():
    verdict = judge(measured(), [0])
    assert verdict.name == LIKELY
    assert verdict.by_seed == (LIKELY,)
    assert [f.holds[0] for f in verdict.findings[:4]] == [True, True, False, True]


@pytest.mark.parametrize(
    ("over", "error", "true", "holds"),
    [
        (25.0, 1.0, (100.0, 0.0, 50.0), True),
        (24.9, 1.0, (100.0, 0.0, 50.0), False),  # less than a quarter of the larger value
        (24.9, 1.0, (50.0, 0.0, -100.0), False),  # its size, whatever its sign
        (25.0, 12.6, (100.0, 0.0, 50.0), False),  # less than two standard errors
        (-80.0, 1.0, (100.0, 0.0, 50.0), False),
        (NAN, NAN, (100.0, 0.0, NAN), None),
    ],
)
def test_what_is_material(over, error, true, holds):
    m = measured(over=(0.0, 0.0, over), error=error, true=true)
    assert findings.material(m, 1).holds == (holds,)
    assert name(m) == {True: LIKELY, False: CLEAR, None: UNKNOWN}[holds]


@pytest.mark.parametrize(
    ("parts", "error", "holds"),
    [
        # gain + model + within is what is needed: gain is to be at least half of it, and 2 standard errors
        ((40.0, 38.0, 0.0, 5.0, 5.0), 1.0, True),
        ((40.0, 38.0, 0.0, 5.1, 5.0), 1.0, False),
        ((40.0, 38.0, 0.0, 0.0, 5.0), 2.6, False),
        ((40.0, 38.0, 0.0, -9.0, 5.0), 1.0, True),  # updates within reach pull down
        ((40.0, -1.0, 0.0, 0.0, 5.0), 1.0, False),  # an edge that is not overestimated passes nothing on
        ((NAN, NAN, NAN, NAN, NAN), 1.0, None),
    ],
)
def test_whether_the_edge_keeps_it_up(parts, error, holds):
    m = measured(parts=parts)
    m = replace(m, origin=Origin(*(figure(x, error=error) for x in parts)))
    assert findings.edge(m, 1).holds == (holds,)


@pytest.mark.parametrize(
    ("model", "holds", "verdict"), [(5.0, True, MODEL), (4.9, False, LIKELY), (-5.0, False, LIKELY)]
)
def test_whether_the_model_may_explain_it(model, holds, verdict):
    m = measured(parts=(40.0, 38.0, model, 0.0, 5.0))
    assert findings.model(m, 1).holds == (holds,)
    assert name(m) == verdict
    noisy = replace(m, origin=replace(m.origin, model=figure(model, error=3.0)))
    assert findings.model(noisy, 1).holds == (False,)
    assert findings.model(replace(m, exact=True), 1).holds == (False,)


def test_an_edge_among_updated_states_is_not_singled_out():
    m = measured()
    for beyond, holds in ((0.10, True), (0.09, False)):
        near = replace(m.nearness, beyond=torch.tensor([beyond], dtype=torch.float64))
        assert findings.far(replace(m, nearness=near), 1).holds == (holds,)
        assert name(replace(m, nearness=near)) == (LIKELY if holds else UNCLEAR)


def test_pessimism_is_enough_where_the_penalty_covers_the_mean_critics_overestimate():
    assert findings.pessimism(measured(over=(0.0, 0.0, 7.0)), 1).holds == (True,)
    assert findings.pessimism(measured(over=(0.0, 0.0, 7.1)), 1).holds == (False,)
    assert not findings.pessimism(measured(), 1).alarming


def history(values, key="reach/q_depth_2"):
    return [{"update": 10 * i, "seed": 0, key: v, "eval/return": 5.0 - i} for i, v in enumerate(values)]


def test_growth_over_updates():
    m = measured()
    assert findings.over_updates(m, [0], history([1, 2, 4, 6, 8])).holds == (True,)
    assert findings.over_updates(m, [0], history([1, 2, 4, 4.5, 5])).holds == (False,)
    assert findings.over_updates(m, [0], history([-9, -9, -8, -7, -5])).holds == (True,)
    found = findings.over_updates(m, [0], history([1, 2, 4, 6, 8]))
    assert "mean Q at the edge: 4 at update 20, 8 at 40; return 3, then 1" in found.detail[0]
    assert findings.over_updates(m, [0], history([1, 9])).holds == (None,)
    # the measured overestimate, where it was logged, rather than the value
    rows = [
        a | b
        for a, b in zip(history([1, 2, 4, 6, 8]), history([5] * 5, "bias/overestimate_depth_2"), strict=True)
    ]
    assert findings.over_updates(m, [0], rows).holds == (False,)
    assert findings.over_updates(m, [1], rows).holds == (None,)


def test_without_a_simulator_nothing_is_claimed():
    m = replace(
        measured(), bias=None, origin=None, missing={"bias": "no simulator: why", "origin": "the same"}
    )
    verdict = judge(m, [0], history([1, 2, 4, 6, 8]))
    assert verdict.name == UNKNOWN
    assert "no simulator: why" in verdict.sentence
    # what can be said without one still is
    assert [f.holds[0] for f in verdict.findings] == [None, None, None, True, None, None, True]


def test_not_applicable():
    assert judge(Measured(0), [0, 1]).by_seed == (NO_EDGE, NO_EDGE)
    assert "no model rollouts" in judge(Measured(0), [0]).sentence
    assert NO_CRITICS in judge(Measured(3, missing={"values": NO_CRITICS}), [0]).sentence


def stack(*parts):
    """Measurements of single seeds as one stack."""

    def join(xs):
        first = xs[0]
        if isinstance(first, torch.Tensor):
            return torch.cat(xs)
        if isinstance(first, dict):
            return {k: join([x[k] for x in xs]) for k in first}
        if hasattr(first, "__dataclass_fields__"):
            return replace(
                first, **{k: join([getattr(x, k) for x in xs]) for k in first.__dataclass_fields__}
            )
        return first

    return join(list(parts))


def test_the_runs_verdict_is_that_of_most_seeds_and_says_what_the_others_are():
    clear, likely = measured(over=(0.0, 0.0, 0.0)), measured()
    verdict = judge(stack(clear, likely, likely), [4, 5, 6])
    assert verdict.name == LIKELY
    assert verdict.by_seed == (CLEAR, LIKELY, LIKELY)
    assert verdict.sentence.startswith(f"{LIKELY} in 2 of 3 seeds ({CLEAR} in 1): ")
    # as many of each: the graver one
    assert judge(stack(clear, likely), [4, 5]).name == LIKELY
    assert judge(stack(clear, clear, likely), [4, 5, 6]).name == CLEAR
