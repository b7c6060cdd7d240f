"""A captured graph of the device that is not there: operations kept with the memory they used, and done again."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map_only

from tests.simulated.places import Places


class Recording:
    """A list of operations on fixed tensors.

    A capture runs nothing. Here operations are carried out, since shapes and autograd need results, and what they
    wrote over is put back at the end. Numbers of the host are kept as they were, as kernels' arguments are.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.before: list[tuple[Tensor, Tensor]] = []

    def add(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Carry one operation out and remember it."""
        self.before += [(x, x.clone()) for x in mutated(func, args, kwargs)]
        frozen = tree_map_only(Tensor, lambda x: x if x in self.places else x.clone(), (args, kwargs))
        found = func(*args, **kwargs)
        self.operations.append((func, *frozen, tensors(found)))
        return found

    def put_back(self) -> None:
        """Undo what the operations wrote."""
        with _disable_current_modes(), torch._C._AutoDispatchBelowAutograd():
            for x, value in reversed(self.before):
                x.copy_(value)
        self.before.clear()

    def replay(self) -> None:
        """Every operation once more, from and into the memory it was recorded with."""
        with _disable_current_modes(), torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, kept in self.operations:
                for old, new in zip(kept, tensors(func(*args, **kwargs)), strict=True):
                    if old.untyped_storage()._cdata != new.untyped_storage()._cdata:
                        old.copy_(new)


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
