"""What a part of the benchmark is made of: the same work done by several candidates, and the least it can take."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Step = Callable[[], object]
"""The work of a case, once."""
Clock = Callable[[int], float]
"""(calls) -> the seconds that so many calls took together."""
NAIVE = "naive"
"""The mode of the reference that ratios are taken to."""


@dataclass(frozen=True)
class Floor:
    """The least time: `amount` (operations, bytes, environment steps) at the rate at which `probe` does its own.

    probe: does probe_amount of the same in one call, and hardly anything else; timed side by side with the
    candidates. kind: what it is, e.g. "float32 products 10x256x256x256"; probes of one kind are timed once.
    """

    kind: str
    amount: float
    probe: Clock
    probe_amount: float


@dataclass(frozen=True)
class Candidate:
    """One way to do a case's work. mode: eager, compile, graph, naive, or a library's name."""

    mode: str
    clock: Clock
    floor: Floor | None = None


@dataclass(frozen=True)
class Case:
    """Work and who does it. items: of `unit` in one call; settings: what distinguishes it, for its rows.

    counted: whether the operations of a call are counted, too, where all of it is torch's and this thread's.
    """

    name: str
    candidates: Sequence[Candidate]
    items: int = 1
    unit: str = "update"
    settings: Mapping[str, Any] = field(default_factory=dict)
    counted: bool = False


@dataclass(frozen=True)
class Plan:
    """A case to come. run: does it and returns its rows; tells `tick` when one of its `ticks` rounds is done."""

    name: str
    run: Callable[[Callable[[], object]], list[Row]]
    ticks: int


Build = Callable[[ExitStack], Case]
"""Makes the networks and data of a case; what must be closed after it goes onto the stack."""
