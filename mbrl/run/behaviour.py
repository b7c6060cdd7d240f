"""Simple behaviours to record: uniform actions, and Gaussian noise around a policy."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy
from mbrl.run.evaluate import Episodic


class Uniform:
    """Actions uniform on [-1, 1], drawn from streams of its own where the caller gives none."""

    def __init__(self, action_dim: int, streams: Streams, layout: Layout | None = None) -> None:
        """layout: of several agents, for actions [S, B, N, A]."""
        self.action_dim, self.streams, self.layout = action_dim, streams, layout

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """[S, B, A] for obs [S, B, O]; of several agents [S, B, N, A] for [S, B, N, O]."""
        shape = obs.shape[1:-1]
        action = 2 * (streams or self.streams).rand(*shape, self.action_dim) - 1
        return _unpadded(action, self.layout)


@runtime_checkable
class Divided(Protocol):
    """An environment of several agents that one agent could act in: they share out what it would do."""

    def global_obs(self) -> np.ndarray:
        """What the one agent would see now [O]."""

    def split_action(self, action: np.ndarray) -> np.ndarray:
        """Its action [A] as the team's [N, A]."""


class Noisy:
    """Gaussian noise of standard deviation `std` on a policy's deterministic action, clipped to [-1, 1]."""

    def __init__(self, policy: Policy, std: float, layout: Layout | None = None) -> None:
        """layout: of several agents that the policy moves, whose padding stays 0."""
        if not std >= 0:
            raise ConfigError(f"noise {std}: a standard deviation is not negative")
        self.policy, self.std, self.layout = policy, std, layout
        self.device = device_of(policy)

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """[S, B, A] for obs [S, B, O], of several agents [S, B, N, A]; without streams, no noise."""
        action = self.policy.act(obs)
        if streams is None:
            return action
        noisy = (action + self.std * streams.randn(*action.shape[1:])).clamp(-1, 1)
        return _unpadded(noisy, self.layout)

    def reset(self) -> None:
        """Reset the policy within, if it keeps a memory."""
        if isinstance(self.policy, Episodic):
            self.policy.reset()


def _unpadded(action: Tensor, layout: Layout | None) -> Tensor:
    """The action with zeros where agents have less than the longest."""
    return action if layout is None else action.masked_fill(~layout.action_mask(action.device), 0.0)


def device_of(policy: Policy) -> torch.device:
    """Where a policy computes: its `device`, else the CPU."""
    return torch.device(getattr(policy, "device", "cpu"))
