"""A joint trajectory segment as one tensor [..., T + 1, D], a token a time step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout, without_agent_axis
from mbrl.core.types import Transitions


class Tokens(NamedTuple):
    """obs [..., T + 1, N, O], action [..., T + 1, N, A], reward and terminal [..., T + 1]."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    terminal: Tensor


@dataclass(frozen=True)
class SegmentShape:
    """T transitions of N agents as T + 1 tokens of D = N O + N A + 2 numbers: obs, action, reward, terminal.

    Token t < T holds what happened at time t; token T holds the last transition's next_obs alone. The rest of it,
    and all padding of agents with shorter rows, is 0 and no part of the loss (`mask`). terminal is -1 or +1.
    joint: whether transitions have an axis of agents; without one the same tensor has N = 1.
    Raises ConfigError for a horizon below 1, or no axis for several agents.
    """

    horizon: int
    layout: Layout
    joint: bool = True

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ConfigError(f"horizon={self.horizon}: a segment has at least 1 transition")
        if not self.joint and self.layout.agents != 1:
            raise ConfigError(f"rows of {self.layout.agents} agents need an axis of agents")

    @property
    def tokens(self) -> int:
        """T + 1."""
        return self.horizon + 1

    @property
    def obs_columns(self) -> slice:
        """Where a token holds its observations."""
        return slice(0, self.layout.agents * self.layout.obs_dim)

    @property
    def action_columns(self) -> slice:
        """Where a token holds its actions."""
        start = self.layout.agents * self.layout.obs_dim
        return slice(start, start + self.layout.agents * self.layout.action_dim)

    @property
    def width(self) -> int:
        """D."""
        return self.action_columns.stop + 2

    def columns(self, device: torch.device | str = "cpu") -> Tensor:
        """[D] bool: which columns of a token are not padding."""
        parts = [self.layout.obs_mask(device).flatten(), self.layout.action_mask(device).flatten()]
        return torch.cat([*parts, torch.ones(2, dtype=torch.bool, device=device)])

    def mask(self, device: torch.device | str = "cpu") -> Tensor:
        """[T + 1, D] bool: what a segment says something about."""
        mask = self.columns(device).repeat(self.tokens, 1)
        mask[-1, self.obs_columns.stop :] = False
        return mask

    def join(self, tokens: Tokens) -> Tensor:
        """[..., T + 1, D] of its parts; any number of tokens."""
        obs, action = tokens.obs.flatten(-2), tokens.action.flatten(-2)
        return torch.cat([obs, action, tokens.reward.unsqueeze(-1), tokens.terminal.unsqueeze(-1)], dim=-1)

    def split(self, x: Tensor) -> Tokens:
        """Inverse of join: views of x [..., T + 1, D]."""
        obs, action = x[..., self.obs_columns], x[..., self.action_columns]
        agents = (self.layout.agents, -1)
        return Tokens(obs.unflatten(-1, agents), action.unflatten(-1, agents), x[..., -2], x[..., -1])

    def transitions(self, x: Tensor) -> Transitions:
        """Segments [..., n, T + 1, D] in the data's own units as rows [..., n * T, ...], time step by time step.

        `step` runs from 1 to T; a terminal entry above 0 is one. The last step is no timeout: values go on from
        its successor, which the segment holds.
        """
        obs, action, reward, terminal = self.split(x)
        now, later = slice(None, -1), slice(1, None)
        step = torch.arange(1, self.tokens, device=x.device).expand(reward[..., now].shape)
        rows = Transitions(
            obs=_by_step(obs[..., now, :, :], 2),
            action=_by_step(action[..., now, :, :], 2),
            reward=_by_step(reward[..., now], 0),
            next_obs=_by_step(obs[..., later, :, :], 2),
            terminal=_by_step(terminal[..., now] > 0, 0),
            timeout=_by_step(torch.zeros_like(reward[..., now], dtype=torch.bool), 0),
            step=_by_step(step, 0),
        )
        return rows if self.joint else without_agent_axis(rows)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"horizon": self.horizon, "layout": self.layout.as_dict(), "joint": self.joint}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "SegmentShape":
        """Inverse of as_dict."""
        return cls(found["horizon"], Layout.from_dict(found["layout"]), found["joint"])


def _by_step(x: Tensor, own: int) -> Tensor:
    """[..., n, T, *own] -> [..., T * n, *own]: rows of the first step first, as rollouts have them."""
    axis = x.dim() - own - 1
    return x.transpose(axis - 1, axis).flatten(axis - 1, axis)
