"""A captured graph of the device that is not there: operations kept with the memory they used, and done again."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

from tests.simulated.places import Places


class Gone(RuntimeError):
    """A graph would read or write memory that the program has let go."""


class Outside:
    """A tensor in memory from before the capture, which a graph knows the address of and does not keep."""

    def __init__(self, x: Tensor) -> None:
        self.storage = StorageWeakRef(x.untyped_storage())
        self.dtype, self.form = x.dtype, (x.storage_offset(), x.size(), x.stride())

    def tensor(self) -> Tensor:
        """The tensor. Raises Gone if nobody has kept its memory."""
        storage = torch.UntypedStorage._new_with_weak_ptr(self.storage.cdata)
        if storage is None:
            raise Gone(f"a captured graph uses a tensor of size {tuple(self.form[1])} that was freed since")
        return torch.empty(0, dtype=self.dtype).set_(storage, *self.form)


class Recording:
    """A list of operations on fixed memory.

    A capture runs nothing. Here operations are carried out, since shapes and autograd need results, and what they
    wrote over is put back at the end. Numbers of the host are kept as they were, as kernels' arguments are; what
    was made during the capture is the graph's own, everything else the program's.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.own: set[int] = set()
        self.operations: list[tuple[Any, Any, list[Tensor | None]]] = []
        self.before: list[tuple[Tensor, Tensor]] = []

    def add(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Carry one operation out and remember it."""
        self.before += [(x, x.clone()) for x in mutated(func, args, kwargs)]
        frozen = tree_map_only(Tensor, self._frozen, (args, kwargs))
        found = func(*args, **kwargs)
        inputs = {name_of(x) for x in tensors((args, kwargs))}
        self.own |= {name_of(x) for x in tensors(found)} - inputs
        kept = [x if name_of(x) in self.own else None for x in tensors(found)]
        self.operations.append((func, frozen, kept))
        return found

    def _frozen(self, x: Tensor) -> Tensor | Outside:
        if x not in self.places:
            return x.clone()
        return x if name_of(x) in self.own else Outside(x)

    def put_back(self) -> None:
        """Undo what the operations wrote."""
        with _disable_current_modes(), torch._C._AutoDispatchBelowAutograd():
            for x, value in reversed(self.before):
                x.copy_(value)
        self.before.clear()

    def replay(self) -> None:
        """Every operation once more, from and into the memory it was recorded with."""
        with _disable_current_modes(), torch._C._AutoDispatchBelowAutograd():
            for func, frozen, kept in self.operations:
                args, kwargs = tree_map(lambda x: x.tensor() if isinstance(x, Outside) else x, frozen)
                for old, new in zip(kept, tensors(func(*args, **kwargs)), strict=True):
                    if old is not None and name_of(old) != name_of(new):
                        old.copy_(new)


def name_of(x: Tensor) -> int:
    """Of the memory, as long as there is any reference to it, weak ones included."""
    return x.untyped_storage()._cdata


def tensors(tree: Any) -> list[Tensor]:
    """The tensors in nested lists, tuples and dicts."""
    return [x for x in tree_flatten(tree)[0] if isinstance(x, Tensor)]


def mutated(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments that an operation writes to, by its schema."""
    written: list[Any] = []
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written.append(args[i] if i < len(args) else kwargs.get(argument.name))
    return tensors(written)
