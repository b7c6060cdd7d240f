"""Members of a stack that have diverged: put back to the last sound checkpoint, and kept there."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from mbrl.core.checkpoint import flatten, unflatten
from mbrl.core.seeds import Streams
from mbrl.core.slices import stacked
from mbrl.core.types import Agent, Stateful

End = dict[str, Any]
"""{"update": when a member was found to have diverged, "diagnosis": why}."""


def frozen_seeds(meta: Mapping[str, Any]) -> dict[int, End]:
    """{seed: end} of the members that a checkpoint's `meta` says are frozen."""
    return {meta["seeds"][int(place)]: end for place, end in meta.get("frozen", {}).items()}


class Frozen:
    """The members that are no longer trained.

    An update is one for the whole stack; what it does to a frozen member is undone after it. While none is
    frozen, this does nothing.
    """

    def __init__(self, size: int, parts: Mapping[str, Stateful], device: torch.device | str = "cpu") -> None:
        """size: S. parts: what members own slices of, each by its path in a checkpoint, such as "agent"."""
        self.size, self.parts, self.device = size, dict(parts), device
        self.ends: dict[int, End] = {}
        self.kept: dict[int, dict[str, Tensor]] = {}
        self.copied: set[str] = set()

    def add(self, ends: Mapping[int, End], tree: Mapping[str, Any]) -> None:
        """Freeze the members at these places as the checkpoint `tree` has them."""
        under = tuple(f"{path}/" for path in self.parts)
        saved = {k: x for k, x in stacked(flatten(tree), self.size).items() if k.startswith(under)}
        for place, end in ends.items():
            self.ends[place] = dict(end)
            self.kept[place] = {name: x[place].to(self.device) for name, x in saved.items()}
        for path in self.parts:
            self.put_back(path)
            self._check(path)

    def put_back(self, path: str) -> None:
        """Write what is kept of the part at `path`, if there is one, into its tensors, in place."""
        if not self.ends or path not in self.parts:
            return
        state = flatten(self.parts[path].state_dict())
        live, kept = self._pairs(path, state)
        with torch.no_grad():
            torch._foreach_copy_(live, kept)
        if path in self.copied:
            self.parts[path].load_state_dict(unflatten(state))

    def at_rest(self, agent: Agent) -> Agent:
        """The agent as it is to be evaluated: what frozen members would do, which may be anything, is not asked."""
        return AtRest(agent, self.ends) if self.ends else agent

    def _pairs(self, path: str, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Slices of frozen members, and what each of them should be."""
        live, kept = [], []
        for place, slices in self.kept.items():
            for name, x in stacked(state, self.size).items():
                live.append(x[place])
                # An optimiser has no state in a checkpoint from before its first step; it starts from zeros.
                kept.append(slices.get(f"{path}/{name}", torch.zeros_like(x[place])))
        return live, kept

    def _check(self, path: str) -> None:
        """Find out whether a part hands out copies of its state, and is to be given it back."""
        live, kept = self._pairs(path, flatten(self.parts[path].state_dict()))
        if not all(torch.equal(a, b) for a, b in zip(live, kept, strict=True)):
            self.copied.add(path)
            self.put_back(path)


class AtRest:
    """An agent whose members at `places` act with zeros, and which is the same in all else."""

    def __init__(self, agent: Agent, places: Iterable[int]) -> None:
        self.agent, self.places = agent, sorted(places)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.agent, name)

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [S, B, A]; as the agent draws it."""
        action = self.agent.act(obs, streams)
        return action.index_fill(0, torch.tensor(self.places, device=action.device), 0.0)
