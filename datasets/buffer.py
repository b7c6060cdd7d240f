"""Synthetic experience on the device: one block a refresh, the last few blocks kept."""

from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class RefreshBuffer:
    """Keeps the rows of the last `retain` refreshes, S seeds side by side, and samples them uniformly.

    Storage is [S, retain, rows, ...], allocated once. A refresh may hold void rows (a rollout that ended
    early); each block puts its alive rows first and counts them, a seed each, so neither writing nor sampling
    needs the host to know how many there are.
    """

    def __init__(self, retain: int, rows: int) -> None:
        self.retain, self.rows = retain, rows
        self.refreshes = 0
        self.storage: Transitions | None = None
        self.counts: Tensor | None = None

    def add(self, block: Transitions, alive: Tensor) -> None:
        """Replace the oldest block by rows [S, rows, ...] of which alive [S, rows] bool are kept."""
        if block.reward.shape[-1] != self.rows:
            raise DataError(f"a block holds {self.rows} rows a seed, got {block.reward.shape[-1]}")
        if self.storage is None:
            self._allocate(block)
        slot = self.refreshes % self.retain
        order = torch.argsort(alive.logical_not().to(torch.uint8), dim=-1, stable=True)
        for f in fields(self.storage):
            stored, new = getattr(self.storage, f.name), getattr(block, f.name)
            if stored is not None:
                index = order.reshape(order.shape + (1,) * (new.dim() - 2)).expand_as(new)
                stored[:, slot] = new.gather(1, index)
        self.counts[:, slot] = alive.sum(-1)
        self.refreshes += 1

    def sample(self, n: int, streams: Streams, members: Tensor | None = None) -> Transitions:
        """n rows a seed, uniform over all alive rows kept, [S, n, ...]; no host sync.

        members: the places of those whose `streams` these are, [M] int64; all by default.
        """
        if self.storage is None:
            raise DataError("the synthetic buffer is empty: add a refresh before sampling")
        counts = self.counts if members is None else self.counts[members]
        ends = counts.cumsum(-1)
        # A seed whose every row is void would have nothing to give; the trainer checks that, not this loop.
        index = streams.randint(ends[:, -1].clamp_min(1), n)
        slot = torch.searchsorted(ends, index, right=True).clamp_max(self.retain - 1)
        offset = index - (ends - counts).gather(1, slot)
        seed = torch.arange(len(streams), device=index.device) if members is None else members
        # One index over all of the storage: whole rows are copied, where three would gather numbers.
        place = (seed.unsqueeze(-1) * self.retain + slot) * self.rows + offset
        flat = place.flatten()
        return self.storage.map(
            lambda x: x.view(-1, *x.shape[3:]).index_select(0, flat).view(*place.shape, *x.shape[3:])
        )

    @property
    def size(self) -> Tensor:
        """Alive rows kept, [S] int64."""
        return self.counts.sum(-1)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything a resume needs; empty before the first refresh."""
        if self.storage is None:
            return {}
        present = {f.name: getattr(self.storage, f.name) for f in fields(self.storage)}
        rows = {k: v for k, v in present.items() if v is not None}
        return rows | {"counts": self.counts, "refreshes": torch.tensor(self.refreshes)}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Inverse of state_dict. Raises MismatchError for the state of a buffer of another size."""
        state = {k: v.to(device) for k, v in state.items()}
        if state:
            self.refreshes, self.counts = int(state.pop("refreshes")), state.pop("counts")
            self.storage = Transitions(**state)
            saved, mine = tuple(self.storage.reward.shape[1:]), (self.retain, self.rows)
            if saved != mine:
                raise MismatchError(
                    f"the saved synthetic buffer holds (refreshes, rows) {saved}, this one {mine}"
                )

    def _allocate(self, block: Transitions) -> None:
        seeds = block.reward.shape[0]
        self.storage = block.map(lambda x: x.new_zeros(seeds, self.retain, *x.shape[1:]))
        self.counts = torch.zeros(seeds, self.retain, dtype=torch.int64, device=block.reward.device)
