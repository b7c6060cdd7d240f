"""What is asked of a cell of polynomial games: does the data cover the way, who arrives, how sure is the share?"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mbrl.dynamics.games.game import Game

REACHED = 0.03
"""A joint action whose reward falls short of the greatest by at most this share of the game's range of rewards has
reached the optimum."""
BOX = 0.15
"""Half the side of the box around a point of the way in which rows of data are counted."""
ENOUGH = 0.05
"""Share of the rows that uniform data would have in such a box from which the data covers the point."""


class Way(NamedTuple):
    """Where exact gradients lead from S starts, and how much data there is along the way.

    arrives [S] bool: simultaneous exact gradient ascent of all agents ends at a global optimum. density [S]: the
    least density of the data along the way, optimum included, relative to uniform data. points [S, P, N].
    """

    arrives: Tensor
    density: Tensor
    points: Tensor

    @property
    def covered(self) -> Tensor:
        """[S] bool: the data covers the optimum's neighbourhood and the way to it."""
        return self.arrives & (self.density >= ENOUGH)


def way(game: Game, start: Tensor, data: Tensor, *, steps: int = 1500, points: int = 40) -> Way:
    """The way from start [S, N, 1] by exact gradients, seen from data [B, N, 1]; all in float64.

    Steps are a tenth of the gradient over the curvature's bound: small ones; `points` are even in length.
    """
    x = start.double()
    rate = 0.1 / max(game.polynomial.curvature_bound(), 1.0)
    path = [x]
    for _ in range(steps):
        x = (x + rate * game.gradient(x)).clamp(-1.0, 1.0)
        path.append(x)
        if bool((path[-1] - path[-2]).abs().max() < 1e-9):
            break
    course = _even(torch.stack(path, dim=1).squeeze(-1), points)
    return Way(reached(game, x), density(course, data.double()).amin(-1), course)


def reached(game: Game, action: Tensor) -> Tensor:
    """[...] bool: whether action [..., N, 1] earns the greatest reward, but for 3 % of the game's range."""
    return good(game, game.reward(action.double()))


def good(game: Game, reward: Tensor) -> Tensor:
    """[...] bool: whether a reward falls short of the greatest by at most REACHED of the range; NaN does not."""
    return reward >= game.optimum.value - REACHED * (game.optimum.value - game.lowest)


def density(points: Tensor, data: Tensor) -> Tensor:
    """Rows of data [B, N, 1] in the box around points [S, P, N], over those uniform data would have; [S, P]."""
    rows = data.squeeze(-1)
    near = [((p.unsqueeze(-2) - rows).abs() <= BOX).all(-1).double().mean(-1) for p in points]
    side = (points + BOX).clamp_max(1.0) - (points - BOX).clamp_min(-1.0)
    return torch.stack(near) / (side / 2).prod(-1)


def _even(path: Tensor, points: int) -> Tensor:
    """[S, points, N]: the places of path [S, T, N] at even shares of its length, first and last included."""
    length = (path[:, 1:] - path[:, :-1]).norm(dim=-1).cumsum(-1)
    length = torch.cat([torch.zeros_like(length[:, :1]), length], dim=1).contiguous()
    wanted = torch.linspace(0, 1, points, dtype=path.dtype) * length[:, -1:]
    index = torch.searchsorted(length, wanted.contiguous()).clamp_max(path.shape[1] - 1)
    return path.gather(1, index.unsqueeze(-1).expand(-1, -1, path.shape[-1]))


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The interval of Wilson (1927) of a share, 95 % by default: [low, high]."""
    share, scale = successes / trials, 1 + z**2 / trials
    centre = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
