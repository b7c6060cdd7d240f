"""What every operation does on the device that is not there: checks of place, waits, and recording for a graph."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.simulated.graph import Recording, tensors
from tests.simulated.places import Places

aten = torch.ops.aten

READS = {
    aten._local_scalar_dense,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
}
"""Operations of which the host has to learn the result, or its shape, from the device."""
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
"""Operations that take indices from the host, too, and are such reads when an index is a mask."""
LOOSE = {
    aten.cumsum,
    aten.histc,
    aten.index_add,
    aten.index_add_,
    aten.kthvalue,
    aten.logcumsumexp,
    aten.put_,
    aten.scatter_add,
    aten.scatter_add_,
    aten.scatter_reduce,
    aten.scatter_reduce_,
}
"""Operations that may sum floats in any order on a device (torch.use_deterministic_algorithms lists them)."""
EMPTY = {aten.empty, aten.empty_strided}
"""Filled with zeros: a capture computes with memory that holds nothing yet, and may take it for an index."""
MASKS = (torch.bool, torch.uint8)


class Waited(RuntimeError):
    """The host waited for the device where it must not."""


class Kernels(TorchDispatchMode):
    """Below autograd: every operation on tensors of `places` is one on the device."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places
        self.making = False
        self.waits: list[str] = []
        self.loose: list[str] = []
        self.forbidden = False
        self.recording: Recording | None = None

    def wait(self, why: str) -> None:
        """The host waits for the device. Raises Waited where that is forbidden, and during a capture."""
        self.waits.append(why)
        if self.recording is not None or self.forbidden:
            raise Waited(f"{why} waits for the device")

    def draw(self, func: Any, generator: torch.Generator, on_device: bool) -> None:
        """An operation draws from a generator: RuntimeError from the wrong one, Waited during a capture."""
        if self.places.draws_there(generator) != on_device:
            raise RuntimeError(f"{func}: expected a generator of the tensor's device")
        if on_device and self.recording is not None:
            raise Waited(f"{func} draws during a capture, from a generator that is not registered")

    @contextmanager
    def made_there(self) -> Iterator[None]:
        """Tensors made from nothing are on the device."""
        before, self.making = self.making, True
        try:
            yield
        finally:
            self.making = before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            inputs = tensors((args, kwargs))
            there = [x for x in inputs if x in self.places]
            if not (there or (self.making and not inputs)):
                return func(*args, **kwargs)
            self._check(func, [x for x in inputs if x not in self.places and x.dim()], args)
            run = func if self.recording is None else lambda *a, **k: self.recording.add(func, a, k)
            found = run(*args, **kwargs)
            for x in tensors(found):
                self.places.put(x)
            if func.overloadpacket in EMPTY:
                found.zero_()
            return found

    def _check(self, func: Any, elsewhere: Sequence[Tensor], args: Any) -> None:
        packet = func.overloadpacket
        if elsewhere and packet is not aten.copy_ and packet not in INDEXING:
            shapes = ", ".join(str(tuple(x.shape)) for x in elsewhere)
            raise RuntimeError(f"{func}: expected all tensors on one device, found on the host {shapes}")
        masked = packet in INDEXING and any(x is not None and x.dtype in MASKS for x in args[1])
        if elsewhere or packet in READS or masked:
            self.wait(str(func))
        if packet in LOOSE and args[0].is_floating_point():
            self.loose.append(str(func))
