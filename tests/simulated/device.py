"""torch, as it is on a machine with one CUDA device."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Self

import pytest
import torch

from tests.simulated.functions import CUDA, Functions, is_cuda
from tests.simulated.graph import Recording
from tests.simulated.kernels import Kernels
from tests.simulated.places import Places

GROUP = "_group_tensors_by_device_and_dtype"
"""What optimisers sort their parameters with; below any mode."""


class Stream:
    """Work is done in the order in which it is asked for, so streams have nothing to wait for."""

    def __init__(self, device: Any = None) -> None:
        self.device = device

    def wait_stream(self, other: "Stream") -> None:
        """Nothing to wait for."""


class SimulatedCuda:
    """Within it, `device="cuda"` works; `waits` lists when the host waited for the device."""

    def __init__(self) -> None:
        self.places = Places()
        self.kernels = Kernels(self.places)
        self.stack = ExitStack()

    @property
    def waits(self) -> list[str]:
        """Why the host waited, each time."""
        return self.kernels.waits

    @property
    def loose(self) -> list[str]:
        """Operations whose sums of floats may come out otherwise each time."""
        return self.kernels.loose

    def __enter__(self) -> Self:
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in self._cuda().items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch._C, GROUP, self._group(getattr(torch._C, GROUP)))
        patch.setattr(torch, "Generator", self._generator(torch.Generator))
        self.stack.enter_context(self.kernels)
        self.stack.enter_context(Functions(self.kernels))
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    @contextmanager
    def no_waiting(self) -> Iterator[None]:
        """Inside, a host that waits for the device is an error (Waited)."""
        before, self.kernels.forbidden = self.kernels.forbidden, True
        try:
            yield
        finally:
            self.kernels.forbidden = before

    def _group(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def group(*args: Any) -> dict[Any, Any]:
            return {
                (CUDA if found[0][0][0] in self.places else device, dtype): found
                for (device, dtype), found in real(*args).items()
            }

        return group

    def _generator(self, real: type) -> type:
        class Generator:
            """torch.Generator; a class, since annotations elsewhere join it to others."""

            def __new__(cls, device: Any = "cpu") -> torch.Generator:
                generator = real("cpu")
                if is_cuda(device):
                    self.places.put_generator(generator)
                return generator

        return Generator

    @contextmanager
    def _capture(self, graph: "Graph") -> Iterator[None]:
        graph.recording = self.kernels.recording = Recording(self.places)
        try:
            yield
        finally:
            self.kernels.recording = None
            graph.recording.put_back()

    def _cuda(self) -> dict[str, Any]:
        """What torch.cuda offers in place of its own."""
        return {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda device=None: "simulated",
            "synchronize": lambda device=None: self.kernels.wait("torch.cuda.synchronize"),
            "max_memory_allocated": lambda device=None: 0,
            "Stream": Stream,
            "current_stream": Stream,
            "stream": lambda stream: nullcontext(),
            "CUDAGraph": Graph,
            "graph": self._capture,
            "is_current_stream_capturing": lambda: self.kernels.recording is not None,
        }


class Graph:
    """torch.cuda.CUDAGraph, as far as it is used."""

    recording: Recording

    def replay(self) -> None:
        """What was captured, once more."""
        self.recording.replay()
