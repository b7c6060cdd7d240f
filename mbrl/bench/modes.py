"""Our own code in every mode that was asked for and that this machine can run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from mbrl.agents import SAC
from mbrl.bench.case import Candidate, Clock, Floor
from mbrl.bench.measure import clock
from mbrl.core.accelerate import MODES, Step, accelerate, available_modes, pick_mode
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.precision import PRECISIONS, lower_products, set_product_precision
from mbrl.core.seeds import Streams

EXACT = "float32"
Make = Callable[[], tuple[SAC, Step, Streams]]
"""A new learner, a training step of it, and the streams it draws from."""
FloorOf = Callable[[str], Floor]
"""The floor of a case in one precision."""


@dataclass(frozen=True)
class Mode:
    """How updates run (a name in mbrl.core.accelerate.MODES), and in which arithmetic (one in PRECISIONS)."""

    how: str
    precision: str = EXACT

    @property
    def label(self) -> str:
        """What rows call it: "graph", or with another precision than float32 "graph bf16"."""
        return self.how if self.precision == EXACT else f"{self.how} {self.precision}"


def modes_for(names: Sequence[str], device: torch.device) -> tuple[Mode, ...]:
    """The modes of these names: of MODES, in float32; or of PRECISIONS, in the mode that `auto` stands for.

    No names mean all that the device can run, in the arithmetic that it has. Raises ConfigError for one that is
    unknown, or that it cannot run.
    """
    lower = [name for name in PRECISIONS if name != EXACT]
    if not names:
        names = [*available_modes(device), *(name for name in lower if has(name, device))]
    found = []
    for name in names:
        if name not in (*MODES, *lower, "auto"):
            raise ConfigError(unknown_name("mode", name, ["auto", *MODES, *lower]))
        with in_precision(name if name in lower else EXACT, device):
            how = pick_mode("auto" if name in lower else name, device)
        found.append(Mode(how, name if name in lower else EXACT))
    return tuple(dict.fromkeys(found))


def has(precision: str, device: torch.device) -> bool:
    """Whether the device has units for it: a processor without them emulates bf16, a hundred times slower."""
    if device.type == "cuda":
        return True
    if precision == "tf32":
        return False
    square = torch.ones(2, 256, 256)
    took = []
    for x in (square, square.to(PRECISIONS[precision][1])):
        product = clock(lambda x=x: torch.bmm(x, x))
        product(1)
        took.append(product(3))
    return took[1] < 2 * took[0]


@contextmanager
def in_precision(precision: str, device: torch.device) -> Iterator[None]:
    """The process's setting for float32 products, put back to float32's own afterwards."""
    set_product_precision(precision, device)
    try:
        yield
    finally:
        set_product_precision(EXACT, device)


def at(precision: str, device: torch.device, one: Clock) -> Clock:
    """The clock with that setting while it runs."""

    def seconds(calls: int) -> float:
        with in_precision(precision, device):
            return one(calls)

    return seconds


def own(make: Make, modes: Sequence[Mode], floor: FloorOf, stack: ExitStack) -> list[Candidate]:
    """One candidate a mode, each with a learner of its own, since training changes it."""
    return [_candidate(make, mode, floor(mode.precision), stack) for mode in modes]


def _candidate(make: Make, mode: Mode, floor: Floor, stack: ExitStack) -> Candidate:
    agent, step, streams = make()
    for part in (agent.critics, agent.targets):
        lower_products(part, mode.precision)
    forget_compiled(mode, stack)
    run = clock(accelerate(step, streams, mode.how, agent=agent), streams.device)
    return Candidate(mode.label, at(mode.precision, streams.device, run), floor)


def forget_compiled(mode: Mode, stack: ExitStack) -> None:
    """After the case: what was compiled for it is of no use to the next one, and would count towards limits."""
    if mode.how == "compile":
        stack.callback(torch.compiler.reset)
