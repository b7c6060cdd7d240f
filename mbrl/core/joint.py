"""Several agents in one tensor: an axis N of agents, shorter rows padded with zeros at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.types import Transitions


@dataclass(frozen=True)
class Layout:
    """The sizes of N agents' own observations and actions.

    Joint tensors are [..., N, O] and [..., N, A] with O and A the largest of these sizes and zeros where an agent
    has less; flat ones are [..., sum of sizes], agents side by side without padding, which is what models of the
    joint dynamics and files hold. names: one an agent; agent_0, agent_1, ... by default.
    Raises ConfigError for lists of unequal length, no agent, or a size below 1.
    """

    obs_dims: tuple[int, ...]
    action_dims: tuple[int, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "obs_dims", tuple(int(d) for d in self.obs_dims))
        object.__setattr__(self, "action_dims", tuple(int(d) for d in self.action_dims))
        count = len(self.obs_dims)
        names = tuple(map(str, self.names)) or tuple(f"agent_{i}" for i in range(count))
        object.__setattr__(self, "names", names)
        if not count == len(self.action_dims) == len(self.names):
            raise ConfigError(
                f"a layout needs one size an agent: obs_dims has {count}, action_dims {len(self.action_dims)}, "
                f"names {len(self.names)}"
            )
        if not count or min(*self.obs_dims, *self.action_dims) < 1:
            raise ConfigError(
                f"every agent has at least one observation and one action: {self.obs_dims}, {self.action_dims}"
            )

    @property
    def agents(self) -> int:
        """N."""
        return len(self.obs_dims)

    @property
    def obs_dim(self) -> int:
        """O, the longest observation."""
        return max(self.obs_dims)

    @property
    def action_dim(self) -> int:
        """A, the longest action."""
        return max(self.action_dims)

    def obs_mask(self, device: torch.device | str = "cpu") -> Tensor:
        """[N, O] bool: what is an observation rather than padding."""
        return _mask(self.obs_dims).to(device)

    def action_mask(self, device: torch.device | str = "cpu") -> Tensor:
        """[N, A] bool: what is an action rather than padding."""
        return _mask(self.action_dims).to(device)

    def flat_obs(self, obs: Tensor) -> Tensor:
        """[..., sum O_i] for obs [..., N, O], without the padding. Raises DataError for another shape."""
        return _flat(obs, self.obs_dims, "obs")

    def joint_obs(self, flat: Tensor) -> Tensor:
        """[..., N, O] for flat [..., sum O_i], padded with zeros. Raises DataError for another width."""
        return _joint(flat, self.obs_dims, "obs")

    def flat_action(self, action: Tensor) -> Tensor:
        """[..., sum A_i] for action [..., N, A], without the padding. Raises DataError for another shape."""
        return _flat(action, self.action_dims, "action")

    def joint_action(self, flat: Tensor) -> Tensor:
        """[..., N, A] for flat [..., sum A_i], padded with zeros. Raises DataError for another width."""
        return _joint(flat, self.action_dims, "action")

    def flat_rows(self, rows: Transitions) -> Transitions:
        """Joint rows as those of one agent that sees and does everything."""
        obs, next_obs = self.flat_obs(rows.obs), self.flat_obs(rows.next_obs)
        return replace(rows, obs=obs, next_obs=next_obs, action=self.flat_action(rows.action))

    def joint_rows(self, rows: Transitions) -> Transitions:
        """Inverse of flat_rows."""
        obs, next_obs = self.joint_obs(rows.obs), self.joint_obs(rows.next_obs)
        return replace(rows, obs=obs, next_obs=next_obs, action=self.joint_action(rows.action))

    def as_dict(self) -> dict[str, list[Any]]:
        """Plain lists, for files."""
        return {"obs_dims": [*self.obs_dims], "action_dims": [*self.action_dims], "names": [*self.names]}

    @classmethod
    def from_dict(cls, found: Mapping[str, Sequence[Any]]) -> "Layout":
        """Inverse of as_dict. Raises DataError for other keys."""
        if not {"obs_dims", "action_dims"} <= found.keys() <= {"obs_dims", "action_dims", "names"}:
            raise DataError(f"agents: expected obs_dims, action_dims and names, got {', '.join(found)}")
        return cls(tuple(found["obs_dims"]), tuple(found["action_dims"]), tuple(found.get("names", ())))


def with_agent_axis(rows: Transitions) -> Transitions:
    """Rows [..., B, O] of one agent as joint ones [..., B, 1, O]."""
    parts = {name: getattr(rows, name).unsqueeze(-2) for name in ("obs", "action", "next_obs")}
    return replace(rows, **parts)


def without_agent_axis(rows: Transitions) -> Transitions:
    """Inverse of with_agent_axis. Raises DataError for rows of more than one agent."""
    if rows.agents != 1:
        raise DataError(f"rows of {rows.agents} agents, where those of one were expected")
    parts = {name: getattr(rows, name).squeeze(-2) for name in ("obs", "action", "next_obs")}
    return replace(rows, **parts)


def _mask(sizes: Sequence[int]) -> Tensor:
    return torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(-1)


def _flat(x: Tensor, sizes: Sequence[int], name: str) -> Tensor:
    if tuple(x.shape[-2:]) != (len(sizes), max(sizes)):
        raise DataError(
            f"{name} ends in {tuple(x.shape[-2:])}; {len(sizes)} agents of sizes {tuple(sizes)} need "
            f"{(len(sizes), max(sizes))}, padded with zeros"
        )
    return torch.cat([x[..., i, :size] for i, size in enumerate(sizes)], dim=-1)


def _joint(flat: Tensor, sizes: Sequence[int], name: str) -> Tensor:
    if flat.shape[-1] != sum(sizes):
        raise DataError(
            f"{name} has {flat.shape[-1]} columns; agents of sizes {tuple(sizes)} need {sum(sizes)}"
        )
    out = flat.new_zeros(*flat.shape[:-1], len(sizes), max(sizes))
    for i, part in enumerate(flat.split(list(sizes), dim=-1)):
        out[..., i, : part.shape[-1]] = part
    return out
