"""Stand-ins with a closed form, shared by the tests."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, Prediction, Transitions


def random_transitions(*lead: int, obs_dim: int = 3, action_dim: int = 2, seed: int = 0) -> Transitions:
    """Real-looking rows [*lead, ...]: normal states, uniform actions, a fifth of them terminal."""
    g = torch.Generator().manual_seed(seed)
    return Transitions(
        obs=torch.randn(*lead, obs_dim, generator=g),
        action=2 * torch.rand(*lead, action_dim, generator=g) - 1,
        reward=torch.randn(*lead, generator=g),
        next_obs=torch.randn(*lead, obs_dim, generator=g),
        terminal=torch.rand(*lead, generator=g) < 0.2,
        timeout=torch.zeros(*lead, dtype=torch.bool),
        step=torch.zeros(*lead, dtype=torch.int64),
    )


def joint_transitions(layout: Layout, *lead: int, seed: int = 0) -> Transitions:
    """The same of several agents, [*lead, N, ...], padded with zeros."""
    return layout.joint_rows(
        random_transitions(*lead, obs_dim=sum(layout.obs_dims), action_dim=sum(layout.action_dims), seed=seed)
    )


class Walk:
    """The deterministic model s' = s + a in the first A entries of s, r = -|s'|^2; ends where `ends` says.

    With `noise`, s' ~ N(s + a, noise^2). Two members, one of them off by `disagreement` in every entry.
    The carry counts the steps taken.
    """

    def __init__(
        self,
        obs_dim: int = 3,
        action_dim: int = 2,
        *,
        noise: float = 0.0,
        disagreement: float = 0.0,
        ends: Callable[[Tensor], Tensor] = lambda next_obs: torch.zeros(
            next_obs.shape[:-1], dtype=torch.bool
        ),
    ) -> None:
        self.obs_dim, self.action_dim = obs_dim, action_dim
        self.noise, self.disagreement, self.ends = noise, disagreement, ends
        self.asked_for_members: list[bool] = []

    def begin(self, obs: Tensor, sim_state: Tensor | None = None) -> int:
        return 0

    def step(
        self, carry: Any, obs: Tensor, action: Tensor, streams: Streams, *, members: bool = False
    ) -> DynamicsStep:
        self.asked_for_members.append(members)
        mean = obs.clone()
        mean[..., : self.action_dim] += action
        next_obs = mean + self.noise * streams.randn(*obs.shape[1:]) if self.noise else mean
        reward = -next_obs.square().sum(-1)
        prediction = self._prediction(mean, -mean.square().sum(-1)) if members else None
        return DynamicsStep(carry + 1, next_obs, reward, self.ends(next_obs), prediction)

    def _prediction(self, next_obs: Tensor, reward: Tensor) -> Prediction:
        mean = torch.cat([next_obs, reward.unsqueeze(-1)], dim=-1)
        both = torch.stack([mean, mean + self.disagreement], dim=-3)
        elites = torch.tensor([0, 1]).expand(*mean.shape[:-2], 2)
        return Prediction(both, torch.full_like(both, self.noise), elites)


class Towards:
    """The policy clip(target - s), deterministic; it may be shared by any number of seeds."""

    def __init__(self, target: float = 0.0, action_dim: int = 2) -> None:
        self.target, self.action_dim = target, action_dim

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        action = (self.target - obs[..., : self.action_dim]).clamp(-1, 1)
        if streams is None:
            return action
        return (action + 0.1 * streams.randn(*action.shape[1:])).clamp(-1, 1)


class Members:
    """A model to be asked only: member e expects s' = s + e * shift and reward sum(a) + e, with std `noise`."""

    def __init__(
        self, members: int = 3, *, elites: tuple[int, ...] = (2, 0), shift: float = 0.3, noise: float = 0.1
    ) -> None:
        self.members, self.elites, self.shift, self.noise = members, elites, shift, noise

    def predict(self, obs: Tensor, action: Tensor) -> Prediction:
        first = torch.cat([obs, action.sum(-1, keepdim=True)], dim=-1)
        offset = torch.full_like(first, self.shift)
        offset[..., -1] = 1.0
        mean = torch.stack([first + e * offset for e in range(self.members)], dim=1)
        elites = torch.cat([torch.full((len(obs), 1), e, device=obs.device) for e in self.elites], dim=1)
        return Prediction(mean, torch.full_like(mean, self.noise), elites)
