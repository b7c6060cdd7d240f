"""How many operations a call asks torch for: what a device has to launch, however small the work of each."""

from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from mbrl.bench.case import Clock

ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}
"""Operations that compute nothing, beside views."""


class Launches(TorchDispatchMode):
    """Counts the operations of this thread, below autograd, that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not (func.is_view or func.overloadpacket.__name__ in ALLOCATIONS)
        return func(*args, **(kwargs or {}))


def launches(one: Clock) -> int | None:
    """Operations of one call; a replayed graph counts for none. None where torch does nothing in this thread.

    Fused operations count once, though a device may need several kernels for one.
    """
    with Launches() as found:
        one(1)
    return found.count or None
