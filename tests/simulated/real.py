"""The device where there is one, asked as the simulated one is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, Self

import torch


class Cuda(Protocol):
    """A CUDA device, real or simulated."""

    def no_waiting(self) -> AbstractContextManager[None]:
        """Inside, a host that waits for the device is a RuntimeError."""
        ...


class RealCuda:
    """The machine's own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @contextmanager
    def no_waiting(self) -> Iterator[None]:
        """torch's own check, which knows of most waits."""
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
