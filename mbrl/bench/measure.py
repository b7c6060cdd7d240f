"""Timing candidates side by side: round by round in turn, after a warm-up, so that all see the same machine."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from mbrl.bench.case import NAIVE, Build, Candidate, Case, Clock, Floor, Plan, Row, Step
from mbrl.bench.launches import launches


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, a value a round, and the calls that a round consisted of."""

    seconds: Sequence[float]
    calls: int

    @property
    def median(self) -> float:
        """Median over rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Interquartile range over the median; 0 for a single round."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / self.median


def clock(step: Step, device: torch.device | str = "cpu") -> Clock:
    """Times calls of `step` on this process's device, until the device has done them."""
    device = torch.device(device)

    def seconds(calls: int) -> float:
        synchronise(device)
        began = time.perf_counter()
        for _ in range(calls):
            step()
        synchronise(device)
        return time.perf_counter() - began

    return seconds


def synchronise(device: torch.device) -> None:
    """Wait until a CUDA device has done what it was asked; nothing elsewhere."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def side_by_side(
    clocks: Mapping[str, Clock], *, rounds: int, at_least: float, tick: Callable[[], object]
) -> dict[str, Timing]:
    """Each clock `rounds` times, in turns that start with another one each round; ticks rounds + 1 times.

    at_least: seconds that a clock's part of a round should take; short work is repeated until it does.
    """
    calls = {name: calls_for(one, at_least) for name, one in clocks.items()}
    tick()
    names, seconds = list(clocks), {name: [] for name in clocks}
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(clocks[name](calls[name]) / calls[name])
        tick()
    return {name: Timing(seconds[name], calls[name]) for name in names}


def calls_for(one: Clock, at_least: float) -> int:
    """How many calls take `at_least` seconds, after a first one that warms up (and compiles, where it does)."""
    one(1)
    calls, took = 1, one(1)
    while took < at_least:
        # By a factor of 8 at most: the first calls are not yet as fast as those to come.
        calls *= min(8, max(2, math.ceil(at_least / max(took, 1e-9))))
        took = one(calls)
    return calls


def timed(name: str, build: Build, *, device: torch.device, rounds: int, at_least: float) -> Plan:
    """The plan of a case that is timed."""

    def run(tick: Callable[[], object]) -> list[Row]:
        with ExitStack() as stack:
            case = build(stack)
            timings = measure(case, rounds=rounds, at_least=at_least, tick=tick)
            return [row | counted(case, row["mode"]) for row in rows(case, timings, device)]

    return Plan(name, run, rounds + 1)


def measure(
    case: Case,
    others: Mapping[str, Clock] | None = None,
    *,
    rounds: int,
    at_least: float,
    tick: Callable[[], object],
) -> dict[str, Timing]:
    """Timings of the candidates by mode, of the probes of their floors by kind, and of `others` by name."""
    clocks = {c.mode: c.clock for c in case.candidates} | dict(others or {})
    clocks |= {c.floor.kind: c.floor.probe for c in case.candidates if c.floor is not None}
    return side_by_side(clocks, rounds=rounds, at_least=at_least, tick=tick)


def counted(case: Case, mode: str) -> Row:
    """The operations of a candidate's call; nothing for compiled code, which a count would compile again."""
    if not case.counted or mode.startswith("compile"):
        return {}
    return {"launches": launches(next(c.clock for c in case.candidates if c.mode == mode))}


def rows(case: Case, timings: Mapping[str, Timing], device: torch.device) -> list[Row]:
    """One row a candidate; see docs/performance.md for the keys."""
    naive = timings[NAIVE].median if NAIVE in timings else None
    return [_row(case, c, timings, str(device), naive) for c in case.candidates]


def _row(
    case: Case, candidate: Candidate, timings: Mapping[str, Timing], device: str, naive: float | None
) -> Row:
    timing, floor = timings[candidate.mode], candidate.floor
    found: Row = {
        "case": case.name,
        "device": device,
        "mode": candidate.mode,
        "median_s": timing.median,
        "floor_s": None,
        "spread": timing.spread,
        "items": case.items,
        "unit": case.unit,
        "per_second": case.items / timing.median,
        "times_naive": None if naive is None else naive / timing.median,
        "rounds": len(timing.seconds),
        "calls": timing.calls,
        **case.settings,
    }
    return found if floor is None else found | _floor(floor, timings[floor.kind])


def _floor(floor: Floor, probe: Timing) -> Row:
    rate = floor.probe_amount / probe.median
    return {
        "floor_s": floor.amount / rate,
        "floor_kind": floor.kind,
        "floor_amount": floor.amount,
        "rate": rate,
    }
