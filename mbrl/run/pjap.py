"""Rows of the dataset whose joint action is near the current joint policy's: a source that makes up nothing."""

from dataclasses import replace

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy, Transitions

CHUNK = 1 << 15
"""Rows a seed whose actions are compared at a time, which bounds memory."""
FINENESS = 1 << 40
"""Steps of a weight; four million of the largest stay within int64."""


def joint_distance(action: Tensor, other: Tensor, entries: Tensor | None = None) -> Tensor:
    """Mean |a - a'| [...] over the entries of joint actions [..., N, A], or [..., A] of one agent.

    entries [N, A] bool: those that are not padding; all by default.
    """
    return _over_entries((action - other).abs(), entries)


def joint_distance_square(action: Tensor, other: Tensor, entries: Tensor | None = None) -> Tensor:
    """Mean (a - a')^2 [...], likewise."""
    return _over_entries((action - other).square(), entries)


def priority(distance: Tensor, steepness: float, floor: float) -> Tensor:
    """max(exp(-(steepness d)^2), floor): what a row at joint distance d [...] is drawn in proportion to.

    Proximal joint-action prioritisation (Tilbury et al. 2024, arXiv 2407.01343), with the shape and the floor of
    the authors' code, github.com/instadeepai/og-marl.
    """
    return torch.exp(-(steepness * distance).square()).clamp_min(floor)


def draw_by_weight(weight: Tensor, n: int, streams: Streams) -> Tensor:
    """n places [S, n] int64, with replacement, each in proportion to weight [S, B], for B below 4 million.

    Weights count in steps of 2^-40 of the largest: a device may sum floats in another order each time, and sums of
    integers are the same in all of them.
    """
    steps = weight.double() / weight.amax(-1, keepdim=True) * FINENESS
    ends = steps.round().long().cumsum(-1)
    drawn = (streams.rand(n, dtype=torch.float64) * ends[:, -1:]).long()
    return torch.searchsorted(ends, drawn, right=True).clamp_max_(weight.shape[-1] - 1)


def _over_entries(gap: Tensor, entries: Tensor | None) -> Tensor:
    if entries is None:
        return gap.mean(-1)
    return torch.where(entries, gap, 0.0).sum((-2, -1)) / entries.sum()


class PJAP:
    """Proximal joint-action prioritisation, as a source: prioritised rows of the data at every refresh.

    Priorities are those of the policy at the refresh (the authors renew a batch's after every tenth update). All
    rows of the data are weighed, so refreshing costs one pass of the policy over the data. horizon is 1 and every
    row's rollout step is 1, so that diagnostics tell these rows from uniform ones.
    """

    horizon = 1

    def __init__(
        self,
        data: Transitions,
        *,
        entries: Tensor | None = None,
        steepness: float = 4.0,
        floor: float = 0.01,
    ) -> None:
        """data: rows [B, ...] on the device the policy computes on. entries [N, A] bool: what is not padding.

        Raises ConfigError for a steepness below 0 or a floor outside (0, 1].
        """
        if steepness < 0 or not 0 < floor <= 1:
            raise ConfigError(
                f"steepness={steepness}, floor={floor}: at least 0, and in (0, 1], so that no row is lost"
            )
        self.data, self.entries, self.steepness, self.floor = data, entries, steepness, floor
        self.reported: dict[str, Tensor] = {}

    @torch.no_grad()
    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """Rows [S, n, ...] of the data, all alive."""
        distance = self._distance(policy, len(streams))
        weight = priority(distance, self.steepness, self.floor)
        index = draw_by_weight(weight, n, streams)
        rows = self.data[index]
        # Root mean square, as diffusion sources have it; the priority's own distance is a mean of |a - a'|.
        square = joint_distance_square(rows.action, policy.act(rows.obs), self.entries)
        self.reported = {
            "source/action_distance": square.mean(-1).sqrt(),
            "source/data_distance": distance.mean(-1),
            "source/drawn_distance": distance.gather(-1, index).mean(-1),
        }
        return replace(rows, step=torch.ones_like(rows.step)), torch.ones_like(rows.terminal)

    def metrics(self) -> dict[str, Tensor]:
        """[S]: root mean square distance to the policy of rows drawn; mean |a - a'| of the data and of these."""
        return self.reported

    def _distance(self, policy: Policy, seeds: int) -> Tensor:
        """[S, B] between the data's actions and the deterministic ones of the policy."""
        parts = []
        for obs, action in zip(self.data.obs.split(CHUNK), self.data.action.split(CHUNK), strict=True):
            mine = policy.act(obs.expand(seeds, *obs.shape))
            parts.append(joint_distance(mine, action, self.entries))
        return torch.cat(parts, dim=-1)
