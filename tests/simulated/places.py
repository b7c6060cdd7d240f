"""Which memory stands for a device's: tensors are ordinary ones, marked by the storage that holds them."""

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

PRUNE_EVERY = 10_000
"""Marks set between two looks for those whose memory is gone."""


class Places:
    """The storages that are "on the device"; whatever shares one, a view or a parameter, is there as well."""

    def __init__(self) -> None:
        # A weak reference keeps the address from being given to another storage, so an address is a name.
        self.there: dict[int, StorageWeakRef] = {}
        self.generators: set[int] = set()
        self.keep: list[torch.Generator] = []

    def __contains__(self, x: Tensor) -> bool:
        return x.untyped_storage()._cdata in self.there

    def put(self, x: Tensor) -> None:
        """From now on, x's storage is on the device."""
        if len(self.there) % PRUNE_EVERY == PRUNE_EVERY - 1:
            self.there = {name: ref for name, ref in self.there.items() if not ref.expired()}
        storage = x.untyped_storage()
        self.there[storage._cdata] = StorageWeakRef(storage)

    def take(self, x: Tensor) -> None:
        """From now on, x's storage is the host's."""
        self.there.pop(x.untyped_storage()._cdata, None)

    def put_generator(self, generator: torch.Generator) -> None:
        """From now on, this generator draws on the device alone."""
        self.generators.add(id(generator))
        self.keep.append(generator)

    def draws_there(self, generator: torch.Generator) -> bool:
        """Whether this generator is the device's."""
        return id(generator) in self.generators
