"""How actions of a bounded box meet a model of unbounded numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

EDGE = 0.999
"""What `squash` takes for a bound: atanh(1) is infinite (policy-guided diffusion, official code)."""


@dataclass(frozen=True)
class Clip:
    """Actions as they are, held in [-1, 1] at the end."""

    def encode(self, action: Tensor) -> Tensor:
        """Action in [-1, 1] -> what the model learns."""
        return action

    def decode(self, u: Tensor) -> Tensor:
        """What the model says -> action in [-1, 1]."""
        return u.clamp(-1.0, 1.0)

    def slope(self, action: Tensor) -> Tensor:
        """d action / d u at the action, for the chain rule; 1 beyond the bounds, too, or nothing leads back."""
        return torch.ones_like(action)


@dataclass(frozen=True)
class Squash:
    """atanh of actions held in [-0.999, 0.999], tanh of them at the end (Jackson et al. 2024, official code)."""

    def encode(self, action: Tensor) -> Tensor:
        """Action in [-1, 1] -> what the model learns."""
        return torch.atanh(action.clamp(-EDGE, EDGE))

    def decode(self, u: Tensor) -> Tensor:
        """What the model says -> action in (-1, 1)."""
        return torch.tanh(u)

    def slope(self, action: Tensor) -> Tensor:
        """d action / d u = 1 - action^2, not below its value at 0.999."""
        return (1 - action.square()).clamp_min(1 - EDGE**2)


ACTION_MAPS: dict[str, Clip | Squash] = {"clip": Clip(), "squash": Squash()}
