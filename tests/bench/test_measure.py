"""Timing: medians and spreads by hand, turns, and rows."""

from contextlib import ExitStack
from itertools import pairwise

import pytest
import torch

from mbrl.agents import SAC
from mbrl.bench.case import Candidate, Case, Floor
from mbrl.bench.launches import launches
from mbrl.bench.measure import Timing, calls_for, clock, counted, measure, rows, side_by_side, timed
from mbrl.core.accelerate import accelerate
from mbrl.core.seeds import Streams
from tests.fakes import random_transitions

CPU = torch.device("cpu")


class Fake:
    """A clock of calls that take `seconds` each; writes down when it was asked."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def __call__(self, calls):
        self.log.append((self.name, calls))
        return calls * self.seconds


def test_median_and_spread_by_hand():
    timing = Timing([5.0, 1.0, 2.0, 4.0, 3.0], 1)
    assert timing.median == 3.0
    assert timing.spread == pytest.approx((4.0 - 2.0) / 3.0)
    assert Timing([2.0], 1).spread == 0.0


def test_calls_are_repeated_until_they_take_long_enough():
    log = []
    assert calls_for(Fake("a", 0.001, log), 0.1) >= 100
    assert log[0] == ("a", 1)  # the warm-up
    assert all(b <= 8 * a for (_, a), (_, b) in pairwise(log[1:]))
    assert calls_for(Fake("b", 2.0, []), 0.1) == 1
    assert calls_for(Fake("c", 0.5, []), 0.0) == 1


def test_candidates_take_turns_that_start_with_another_one_each_round():
    log, ticks = [], []
    clocks = {name: Fake(name, seconds, log) for name, seconds in {"a": 1.0, "b": 2.0, "c": 3.0}.items()}
    found = side_by_side(clocks, rounds=4, at_least=0.0, tick=lambda: ticks.append(len(log)))
    turns = [name for name, _ in log[6:]]
    assert turns == [*"abc", *"bca", *"cab", *"abc"]
    assert ticks == [6, 9, 12, 15, 18]
    assert {name: t.median for name, t in found.items()} == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_seconds_are_those_of_one_call():
    found = side_by_side({"a": Fake("a", 0.01, [])}, rounds=3, at_least=0.5, tick=int)
    assert found["a"].calls >= 50
    assert found["a"].median == pytest.approx(0.01)


def test_a_clock_measures_what_it_calls():
    calls = []
    one = clock(lambda: calls.append(1))
    assert one(3) > 0
    assert len(calls) == 3


def test_rows_have_floors_at_the_measured_rate_and_ratios_to_the_naive_one():
    floor = Floor("widgets", 100.0, lambda calls: calls * 0.5, 10.0)  # 20 a second
    case = Case(
        "part/x",
        [
            Candidate("eager", lambda calls: calls * 8.0, floor),
            Candidate("naive", lambda calls: calls * 16.0, floor),
            Candidate("other", lambda calls: calls * 4.0),
        ],
        items=40,
        unit="thing",
        settings={"seeds": 3},
    )
    timings = measure(case, {"aside": lambda calls: calls * 1.0}, rounds=2, at_least=0.0, tick=int)
    assert timings["aside"].median == 1.0
    ours, naive, other = rows(case, timings, CPU)
    assert ours == {
        "case": "part/x",
        "device": "cpu",
        "mode": "eager",
        "median_s": 8.0,
        "floor_s": 5.0,
        "spread": 0.0,
        "items": 40,
        "unit": "thing",
        "per_second": 5.0,
        "times_naive": 2.0,
        "rounds": 2,
        "calls": 1,
        "seeds": 3,
        "floor_kind": "widgets",
        "floor_amount": 100.0,
        "rate": 20.0,
    }
    assert (naive["times_naive"], naive["floor_s"]) == (1.0, 5.0)
    assert (other["times_naive"], other["floor_s"], "rate" in other) == (4.0, None, False)


def test_a_probe_is_timed_once_for_all_who_share_it():
    asked = []
    probe = Fake("probe", 1.0, asked)
    floor = [Floor("same", 1.0, probe, 1.0) for _ in range(3)]
    case = Case("p/x", [Candidate(str(i), lambda calls: 1.0 * calls, f) for i, f in enumerate(floor)])
    measure(case, rounds=2, at_least=0.0, tick=int)
    assert len(asked) == 2 + 2  # warm-up, a first look, two rounds


def test_a_plan_closes_what_its_case_opened_and_ticks_as_often_as_it_says():
    closed, ticks = [], []

    def build(stack: ExitStack) -> Case:
        stack.callback(closed.append, True)
        return Case("p/x", [Candidate("eager", lambda calls: 1.0 * calls)])

    plan = timed("p/x", build, device=CPU, rounds=3, at_least=0.0)
    (row,) = plan.run(lambda: ticks.append(len(closed)))
    assert (row["times_naive"], closed, ticks) == (None, [True], [0] * plan.ticks)


def test_operations_are_counted_and_views_are_not():
    x, y = torch.ones(3, 4), torch.ones(4, 2, requires_grad=True)

    def step():
        ((x @ y).view(-1)[1:].relu() * 2).sum().backward()
        y.grad = None

    # mm, relu, mul, sum; ones_like, mul, threshold_backward, slice_backward, mm
    assert launches(clock(step)) == 9
    assert launches(clock(lambda: sum(range(5)))) is None


def test_a_replayed_graph_leaves_its_draws_to_be_launched(cuda):
    def count(mode, seeds):
        batch = random_transitions(len(seeds), 8).to("cuda")
        agent = SAC(3, 2, seeds=seeds, num_critics=2, hidden=(8, 8), device="cuda")
        run = accelerate(lambda s: agent.update(batch, s), Streams(seeds, "t", "cuda"), mode, agent=agent)
        one = clock(run, "cuda")
        one(5)
        return launches(one)

    # noise for the next and for the current action, each a seed's own, and one copy of each for all seeds
    assert count("graph", (0,)) == 2 * (1 + 1)
    assert count("graph", (0, 1, 2)) == 2 * (3 + 1)
    assert count("eager", (0,)) > 100


def test_only_cases_that_say_so_are_counted():
    candidates = [Candidate("eager", clock(lambda: torch.ones(2) + 1)), Candidate("compile", clock(int))]
    case = Case("c", candidates, counted=True)
    assert counted(case, "eager") == {"launches": 2}
    assert counted(case, "compile") == {}
    assert counted(Case("c", candidates), "eager") == {}
