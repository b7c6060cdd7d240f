"""The global optima of a polynomial on the cube [-1, 1]^N: a grid that cannot miss one, and Newton's method."""

from typing import NamedTuple

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.dynamics.games.polynomial import Polynomial

POINTS = 60_000
"""Grid points at most."""
SAME = 1e-6
"""Points nearer than that are one, and values are the same to a thousandth of it."""


class Optimum(NamedTuple):
    """The greatest reward and where it is.

    value: the greatest reward. points [P, N] float64: all global optima; where they form a curve or a surface,
    points of it as dense as the search's grid.
    """

    value: float
    points: Tensor


def find_optimum(polynomial: Polynomial) -> Optimum:
    """Every global optimum on [-1, 1]^N, to float64's precision.

    At an optimum x* the gradient vanishes along every axis on which x* is not at a bound, and the grid holds the
    bounds. So the grid point nearest to x* is at most sqrt(N) h / 2 away, along free axes only, and its value is at
    most N h^2 / 8 times a bound of the curvature below the optimum's: Newton's method starts from all those points.
    Raises ConfigError for more agents than such a grid is fine enough for.
    """
    agents = polynomial.agents
    side = int(POINTS ** (1 / agents) + 1e-9) | 1
    if side**agents > POINTS:
        side -= 2
    if side < 5:
        raise ConfigError(f"no optimum is searched for in a game of {agents} agents: at most 6")
    grid = _grid(side, agents)
    values = polynomial(grid)
    spacing = 2 / (side - 1)
    slack = polynomial.curvature_bound() * agents * spacing**2 / 8
    found = climb(polynomial, grid[values >= values.max() - slack])
    values = polynomial(found)
    best = values.max()
    return Optimum(
        best.item(), _distinct(found[values >= best - SAME * 1e-3 * max(polynomial.size(), 1e-12)])
    )


def climb(polynomial: Polynomial, x: Tensor, steps: int = 60) -> Tensor:
    """Local optima [P, N] uphill of x [P, N] float64: Newton's method with a search along the line, in the cube.

    The Hessian's eigenvalues are taken as -|lambda|, so that every step goes uphill. Coordinates at a bound that
    the gradient points out of stand still.
    """
    shares = torch.cat([torch.zeros(1), 0.5 ** torch.arange(12)]).to(x)
    for _ in range(steps):
        gradient = polynomial.gradient(x)
        free = ~(((x >= 1) & (gradient >= 0)) | ((x <= -1) & (gradient <= 0)))
        gradient = gradient * free
        hessian = polynomial.hessian(x) * (free.unsqueeze(-1) & free.unsqueeze(-2))
        size, axes = torch.linalg.eigh(hessian)
        floor = 1e-8 * max(polynomial.size(), 1e-12)
        along = (axes.mT @ gradient.unsqueeze(-1)).squeeze(-1) / size.abs().clamp_min(floor)
        step = (axes @ along.unsqueeze(-1)).squeeze(-1) * free
        tried = (x + shares.view(-1, 1, 1) * step.clamp(-2, 2)).clamp(-1, 1)
        best = polynomial(tried).argmax(0)  # the first of equals: standing still rather than a useless step
        x = tried[best, torch.arange(len(x))]
    return x


def _grid(side: int, agents: int) -> Tensor:
    """[side^N, N] float64, bounds included."""
    axis = torch.linspace(-1, 1, side, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * agents).view(-1, agents)


def _distinct(points: Tensor) -> Tensor:
    """Points further apart than SAME, in lexicographic order."""
    kept: list[Tensor] = []
    for point in torch.unique(points, dim=0):
        if not kept or bool((torch.stack(kept) - point).abs().amax(-1).min() > SAME):
            kept.append(point)
    return torch.stack(kept)
