"""Polynomial games: one step, one action in [-1, 1] an agent, a reward that all share.

Sign agreement and action agreement after Tilbury et al. 2024 (arXiv 2407.01343); the twin peaks' polynomial and
its constants are ours.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DataError, unknown_name
from mbrl.core.joint import Layout
from mbrl.dynamics.games.optimum import Optimum, find_optimum
from mbrl.dynamics.games.polynomial import Polynomial, Terms


class Game:
    """A reward R(x_1, .., x_N), its exact gradient, and its global optima."""

    def __init__(self, name: str, polynomial: Polynomial, optimum: Optimum | None = None) -> None:
        """optimum: the closed form where there is one. Raises ConfigError for fewer than two agents."""
        if polynomial.agents < 2:
            raise ConfigError(f"game {name}: needs at least 2 agents, got {polynomial.agents}")
        self.name, self.polynomial, self._known = name, polynomial, optimum
        self.layout = Layout((1,) * polynomial.agents, (1,) * polynomial.agents)

    @property
    def agents(self) -> int:
        """N."""
        return self.polynomial.agents

    def reward(self, action: Tensor) -> Tensor:
        """[...] at action [..., N, 1]. Raises DataError for another shape."""
        return self.polynomial(self._actions(action))

    def gradient(self, action: Tensor) -> Tensor:
        """dR/dx_i [..., N, 1] at action [..., N, 1]. Raises DataError for another shape."""
        return self.polynomial.gradient(self._actions(action)).unsqueeze(-1)

    @cached_property
    def optimum(self) -> Optimum:
        """The greatest reward on [-1, 1]^N and all joint actions that have it."""
        return self._known or find_optimum(self.polynomial)

    @cached_property
    def lowest(self) -> float:
        """The least reward on [-1, 1]^N. Raises ConfigError for more agents than it can be searched for."""
        return -find_optimum(self.polynomial * -1.0).value

    def distance(self, action: Tensor) -> Tensor:
        """[...]: of action [..., N, 1] from the nearest global optimum, the largest of the agents' distances."""
        points = self.optimum.points.to(action)
        return (self._actions(action).unsqueeze(-2) - points).abs().amax(-1).amin(-1)

    def _actions(self, action: Tensor) -> Tensor:
        """[..., N] of [..., N, 1]."""
        if action.dim() < 2 or tuple(action.shape[-2:]) != (self.agents, 1):
            wanted = f"[..., {self.agents}, 1]"
            raise DataError(f"game {self.name}: actions are {wanted}, got {tuple(action.shape)}")
        return action.squeeze(-1)


def sign_agreement(agents: int = 2) -> Game:
    """R = x_1 x_2 .. x_N; optima: all corners with an even number of negative signs."""
    corners = torch.tensor([c for c in product((-1.0, 1.0), repeat=agents) if np.prod(c) > 0]).double()
    return Game("sign_agreement", Polynomial.of([(1.0, (1,) * agents)]), Optimum(1.0, corners))


def action_agreement(agents: int = 2) -> Game:
    """R = -sum_{i<j} (x_i - x_j)^2; optima: the diagonal, given in steps of 0.01."""
    diagonal = torch.linspace(-1, 1, 201, dtype=torch.float64).unsqueeze(-1).expand(-1, agents)
    return Game("action_agreement", _disagreement(agents) * -1.0, Optimum(0.0, diagonal))


def twin_peaks(agents: int = 2, *, peak: float = 0.7, tilt: float = 1.2, coupling: float = 1.0) -> Game:
    """R = -(m^2 / peak^2 - 1)^2 + tilt m - coupling sum_{i<j} (x_i - x_j)^2, with m the mean of the actions.

    Two joint optima, both on the diagonal: near m = peak, and one 2 peak tilt lower near m = -peak. Without a
    tilt they are equally high. Raises ConfigError for constants that leave fewer than two peaks in the cube.
    """
    if not (0 < peak < 1 and coupling > 0):
        raise ConfigError(f"twin_peaks: needs 0 < peak < 1 and coupling > 0, got {peak} and {coupling}")
    slope = [-4 / peak**4, 0.0, 4 / peak**2, tilt]  # of R along the diagonal, a cubic in m
    tops = [m.real for m in np.roots(slope) if abs(m.imag) < 1e-9 and 3 * slope[0] * m.real**2 + slope[2] < 0]
    if len(tops) != 2 or max(map(abs, tops)) >= 1:
        raise ConfigError(f"twin_peaks: peak={peak}, tilt={tilt} leave {len(tops)} peaks inside (-1, 1)")
    mean = Polynomial.of([(1 / agents, tuple(int(i == j) for j in range(agents))) for i in range(agents)])
    bowl = mean * mean * peak**-2 + Polynomial.constant(-1.0, agents)
    polynomial = bowl * bowl * -1.0 + mean * tilt + _disagreement(agents) * -coupling
    points = torch.tensor(sorted(tops), dtype=torch.float64).unsqueeze(-1).expand(-1, agents)
    values = polynomial(points)
    best = values >= values.max() - 1e-9
    return Game("twin_peaks", polynomial, Optimum(values.max().item(), points[best]))


def polynomial_game(agents: int | None = None, *, terms: Terms) -> Game:
    """R = sum of coefficient x_1^e_1 .. x_N^e_N over terms [(coefficient, exponents), ...].

    agents: checked against the terms where given. Raises ConfigError, naming the term, for terms that are wrong.
    """
    polynomial = Polynomial.of(terms)
    if agents is not None and agents != polynomial.agents:
        raise ConfigError(
            f"game polynomial: agents={agents}, but its terms have {polynomial.agents} exponents"
        )
    return Game("polynomial", polynomial)


GAMES: dict[str, Callable[..., Game]] = {
    "sign_agreement": sign_agreement,
    "action_agreement": action_agreement,
    "twin_peaks": twin_peaks,
    "polynomial": polynomial_game,
}
"""Games by name: each takes `agents` and constants of its own."""


def make_game(name: str, options: Mapping[str, Any] | None = None) -> Game:
    """The game of that name. Raises ConfigError for an unknown name or an option that it does not take."""
    if name not in GAMES:
        raise ConfigError(unknown_name("game", name, GAMES))
    options = dict(options or {})
    agents = options.get("agents")
    if agents is not None and (isinstance(agents, bool) or not isinstance(agents, int) or agents < 2):
        raise ConfigError(f"game {name}: agents={agents!r}, needs a whole number of at least 2")
    try:
        return GAMES[name](**options)
    except TypeError as error:
        raise ConfigError(f"game {name} does not take {options}: {error}") from error


def _disagreement(agents: int) -> Polynomial:
    """sum_{i<j} (x_i - x_j)^2."""
    terms = []
    for i, j in combinations(range(agents), 2):
        for coefficient, powers in ((1.0, {i: 2}), (1.0, {j: 2}), (-2.0, {i: 1, j: 1})):
            terms.append((coefficient, tuple(powers.get(k, 0) for k in range(agents))))
    return Polynomial.of(terms)
