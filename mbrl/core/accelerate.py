"""Ways to run the training step: as it is written, compiled, or as one captured CUDA graph.

The step is the same in all of them, and so are its numbers: draws come from the same generators in the same
order, and what changes between steps is changed in place.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.seeds import Streams
from mbrl.core.tape import Recorder, Tape

Metrics = dict[str, Tensor]
Step = Callable[[Streams], Metrics]
"""One training step, sampling included, of fixed shapes; metrics [S]."""
Runner = Callable[[], Metrics]
"""The next training step; the metrics' tensors may be overwritten by the one after."""

WARMUP = 3
"""Steps before a capture: they initialise what libraries and optimisers make at first use."""


@runtime_checkable
class Compilable(Protocol):
    """An agent that names the methods worth compiling: fixed shapes, no step of an optimiser inside."""

    compilable: Sequence[str]


def accelerate(step: Step, streams: Streams, mode: str = "auto", *, agent: object = None) -> Runner:
    """A runner of `step` on draws from `streams`, which say by their device what can be had.

    mode: a name in MODES, or auto: graph on CUDA, where these small networks wait for launches, and eager on the
    CPU, where products are most of the time (docs/performance.md). agent: whose methods `compile` compiles.
    An agent whose updates are not all alike has `capturable` False: auto is then eager. Raises ConfigError for an
    unknown mode, a graph without CUDA or of such an agent, or an agent that has nothing to compile.
    """
    name = pick_mode(mode, streams.device)
    if name == "graph" and not getattr(agent, "capturable", True):
        if mode != "auto":
            raise ConfigError(
                f"train.accelerate=graph: updates of {type(agent).__name__} are not all alike, and a graph would "
                "repeat one of them; take auto or eager"
            )
        name = "eager"
    return MODES[name](step, streams, agent)


def pick_mode(mode: str, device: torch.device) -> str:
    """The mode that `auto` stands for, any other as it is. Raises ConfigError for one that cannot be had."""
    if mode == "auto":
        return "graph" if device.type == "cuda" else "eager"
    if mode not in MODES:
        raise ConfigError(unknown_name("train.accelerate", mode, ["auto", *MODES]))
    if mode == "graph" and device.type != "cuda":
        raise ConfigError(
            f"train.accelerate=graph needs device=cuda, this run is on {device}; take auto or eager"
        )
    return mode


def available_modes(device: torch.device | str) -> list[str]:
    """Names in MODES that this device can run."""
    return [name for name in MODES if name != "graph" or torch.device(device).type == "cuda"]


def eager(step: Step, streams: Streams, agent: object) -> Runner:
    """The step as it is."""
    return lambda: step(streams)


def compiled(step: Step, streams: Streams, agent: object) -> Runner:
    """The agent's `compilable` methods through torch.compile; optimisers and draws stay outside."""
    if not isinstance(agent, Compilable):
        raise ConfigError(f"train.accelerate=compile: {type(agent).__name__} names no methods to compile")
    for name in agent.compilable:
        setattr(agent, name, torch.compile(getattr(agent, name), dynamic=False))
    return eager(step, streams, agent)


class Graphed:
    """The whole step as one CUDA graph, captured after WARMUP ordinary steps.

    Those are steps of the training, too: a run's numbers do not depend on when the capture happens. Draws are taken
    before each replay, by the ordinary generators, into the tensors the graph reads.
    """

    def __init__(self, step: Step, streams: Streams, agent: object) -> None:
        self.step, self.streams = step, streams
        self.done = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> Metrics:
        """The next step. Raises ConfigError where the step cannot be captured."""
        if self.graph is None:
            if self.done < WARMUP:
                return self._warm()
            self._capture()
        self.tape.fill()
        self.graph.replay()
        return self.metrics

    def _warm(self) -> Metrics:
        """An ordinary step, on a stream of its own as capture will be; remembers its draws."""
        self.recorder = Recorder(self.streams)
        aside, main = torch.cuda.Stream(self.streams.device), torch.cuda.current_stream(self.streams.device)
        aside.wait_stream(main)
        with torch.cuda.stream(aside):
            metrics = self.step(self.recorder)
        main.wait_stream(aside)
        self.done += 1
        return metrics

    def _capture(self) -> None:
        """Record the step's kernels; nothing runs, so nothing is learned and no draw is used up."""
        self.tape, self.graph = Tape(self.recorder), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self.graph):
                self.metrics = self.step(self.tape)
        except RuntimeError as error:
            raise ConfigError(
                f"train.accelerate=graph: this run's step cannot be captured ({error}); take accelerate=eager"
            ) from error


MODES: dict[str, Callable[[Step, Streams, object], Runner]] = {
    "eager": eager,
    "compile": compiled,
    "graph": Graphed,
}
"""Every way to run a step, by the name a configuration gives it."""
