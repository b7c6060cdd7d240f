"""Simple behaviours to record: uniform actions, and Gaussian noise around a policy."""

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy
from mbrl.run.evaluate import Episodic


class Uniform:
    """Actions uniform on [-1, 1], drawn from streams of its own where the caller gives none."""

    def __init__(self, action_dim: int, streams: Streams) -> None:
        self.action_dim, self.streams = action_dim, streams

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """[S, B, A] for obs [S, B, O]."""
        return 2 * (streams or self.streams).rand(obs.shape[-2], self.action_dim) - 1


class Noisy:
    """Gaussian noise of standard deviation `std` on a policy's deterministic action, clipped to [-1, 1]."""

    def __init__(self, policy: Policy, std: float) -> None:
        if not std >= 0:
            raise ConfigError(f"noise {std}: a standard deviation is not negative")
        self.policy, self.std = policy, std
        self.device = device_of(policy)

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """[S, B, A] for obs [S, B, O]; without streams, no noise."""
        action = self.policy.act(obs)
        if streams is None:
            return action
        return (action + self.std * streams.randn(*action.shape[1:])).clamp(-1, 1)

    def reset(self) -> None:
        """Reset the policy within, if it keeps a memory."""
        if isinstance(self.policy, Episodic):
            self.policy.reset()


def device_of(policy: Policy) -> torch.device:
    """Where a policy computes: its `device`, else the CPU."""
    return torch.device(getattr(policy, "device", "cpu"))
