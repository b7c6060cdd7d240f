"""What every learner owes a device, single or joint."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mbrl.core.accelerate import accelerate
from mbrl.core.checkpoint import flatten
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, Transitions
from tests.simulated.device import SimulatedCuda
from tests.simulated.real import Cuda

SEEDS = (0, 1)
STEPS = 7
"""Three before a capture, and replays enough for moving averages and step sizes to move."""


def updates_never_wait(cuda: Cuda, make: Callable[..., Agent], batch: Transitions) -> None:
    """After the first, which makes what optimisers keep; and they sum floats in a fixed order."""
    agent, rows, streams = make(device="cuda"), batch.to("cuda"), Streams(SEEDS, "train", "cuda")
    agent.update(rows, streams)
    with cuda.no_waiting():
        for _ in range(3):
            agent.update(rows, streams)
    if isinstance(cuda, SimulatedCuda):
        assert cuda.loose == []


def graphs_leave_the_bits_of_eager_steps(make: Callable[..., Agent], table: Transitions) -> None:
    """Metrics of every step, all that a checkpoint holds, and the streams' places. table: rows [n, ...]."""
    rows = table.to("cuda")
    found: dict[str, tuple[Any, dict[str, Tensor], Tensor]] = {}
    for mode in ("eager", "auto"):
        agent, streams = make(device="cuda"), Streams(SEEDS, "train", "cuda")
        runner = accelerate(
            lambda s, agent=agent: agent.update(rows[s.randint(len(rows.reward), 8)], s),
            streams,
            mode,
            agent=agent,
        )
        logs = [{name: value.clone() for name, value in runner().items()} for _ in range(STEPS)]
        found[mode] = logs, flatten(agent.state_dict()), streams.state_dict()["state"]
    for a, b in zip(found["auto"][0], found["eager"][0], strict=True):
        assert_equal(a, b)
    assert_equal(found["auto"][1], found["eager"][1])
    assert torch.equal(found["auto"][2], found["eager"][2])


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """The same names with the same bits."""
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name
