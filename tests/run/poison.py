"""Ways for one member of a stack to diverge."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, Transitions

Poison = Callable[[Agent, Transitions], Transitions | None]


class Poisoned:
    """Delegates to an agent, and does something to it, or to its batch, before its n-th update; n: the poison."""

    def __init__(self, agent: Agent, *when: tuple[int, Poison]) -> None:
        self.agent, self.when, self.updates = agent, dict(when), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.agent, name)

    def update(self, batch: Transitions, streams: Streams) -> dict[str, Tensor]:
        self.updates += 1
        poison = self.when.get(self.updates)
        if poison is not None:
            batch = poison(self.agent, batch) or batch
        return self.agent.update(batch, streams)


def nan_weight(place: int = 1) -> Poison:
    """One weight of a critic."""

    @torch.no_grad()
    def poison(agent: Agent, batch: Transitions) -> None:
        agent.critics.net.layers[0].weight[place, 0, 0, 0] = torch.nan

    return poison


def nan_policy(place: int = 1) -> Poison:
    """The policy's first layer."""

    @torch.no_grad()
    def poison(agent: Agent, batch: Transitions) -> None:
        next(iter(agent.actor.parameters()))[place] = torch.nan

    return poison


def huge_head(place: int = 1) -> Poison:
    """Values beyond every scale."""

    @torch.no_grad()
    def poison(agent: Agent, batch: Transitions) -> None:
        agent.critics.net.layers[-1].bias[place] = 1e9

    return poison


def nan_reward(place: int = 1) -> Poison:
    """A row of the batch."""

    def poison(agent: Agent, batch: Transitions) -> Transitions:
        reward = batch.reward.clone()
        reward[place, 0] = torch.nan
        return replace(batch, reward=reward)

    return poison
