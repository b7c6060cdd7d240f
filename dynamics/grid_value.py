"""Optimal values in the simple environment, by value iteration on a lattice.

With states and actions on one lattice, s + a falls on it too, and the Bellman backup
V(s) = max_a [ r(s + a) + gamma V(s + a) ] is a maximum filter over the 2 x 2 square around s. So nothing is
interpolated while iterating: lattice values are exact for actions on the lattice, and a lower bound on the
optimum over all actions. What is missed is at most what `spacing` / 2 in each step's place is worth.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy, Transitions
from mbrl.dynamics.reward_maps import RewardMap


@dataclass(frozen=True)
class GridValue:
    """Values [M, M] float64 at the lattice points of [-half_width, half_width]^2, x first."""

    values: Tensor
    half_width: float

    def at(self, state: Tensor) -> Tensor:
        """Bilinear value [...] float64 at state [..., 2]; beyond the lattice, that of its nearest point."""
        last = self.values.shape[0] - 1
        place = (state.double() + self.half_width) * (last / (2 * self.half_width))
        low = place.clamp(0, last).floor().clamp_max(last - 1)
        x, y = (place.clamp(0, last) - low).unbind(-1)
        i, j = low.long().unbind(-1)
        v = self.values.to(state.device)
        near = torch.lerp(v[i, j], v[i, j + 1], y)
        far = torch.lerp(v[i + 1, j], v[i + 1, j + 1], y)
        return torch.lerp(near, far, x)


def optimal_value(
    reward: RewardMap, *, gamma: float, horizon: int, half_width: float = 24.0, spacing: float = 0.25
) -> GridValue:
    """The best sum of `horizon` rewards, discounted by gamma, from every lattice point.

    A horizon of T stands for an infinite one up to gamma^T / (1 - gamma) times the largest |r|. Policies may not
    leave the lattice's square, so it must hold every place worth going to. Raises ConfigError unless `spacing`
    divides 1 (the largest step) and half_width.
    """
    reach, cells = round(1 / spacing), round(half_width / spacing)
    if abs(reach * spacing - 1) > 1e-9 or abs(cells * spacing - half_width) > 1e-9:
        raise ConfigError(
            f"spacing={spacing} must divide 1 and half_width={half_width}, as 0.25 does 1 and 24"
        )
    axis = torch.arange(-cells, cells + 1, dtype=torch.float64) * spacing
    rewards = reward(torch.cartesian_prod(axis, axis)).view(len(axis), len(axis))
    value = torch.zeros_like(rewards)
    for _ in range(horizon):
        gain = (rewards + gamma * value)[None, None]
        # The square's maximum is the maximum over rows of the maximum over columns.
        gain = functional.max_pool2d(gain, (1, 2 * reach + 1), stride=1, padding=(0, reach))
        value = functional.max_pool2d(gain, (2 * reach + 1, 1), stride=1, padding=(reach, 0))[0, 0]
    return GridValue(value, half_width)


@dataclass(frozen=True)
class GridOracle:
    """The optimal policy's value as a ValueOracle: what is attainable from a state, whatever the policy."""

    grid: GridValue

    def value(self, policy: Policy, batch: Transitions, where: Tensor, streams: Streams) -> Tensor:
        """[S, B] float64 at batch.next_obs; 0 outside `where`."""
        return torch.where(where, self.grid.at(batch.next_obs), 0.0)
