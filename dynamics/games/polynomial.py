"""Polynomials in the actions of N agents, with exact gradients and Hessians."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError

Terms = Iterable[tuple[float, Sequence[int]]]


@dataclass(frozen=True)
class Polynomial:
    """sum_k coefficient_k prod_i x_i^exponent_ki, in float64 where the argument is.

    coefficients: {exponents (one an agent): coefficient}; equal exponents are one term.
    """

    coefficients: Mapping[tuple[int, ...], float]

    @classmethod
    def of(cls, terms: Terms) -> "Polynomial":
        """From terms [(coefficient, exponents), ...].

        Raises ConfigError, naming the term, for exponents of unequal number, an exponent that is not a whole
        number of at least 0, a coefficient that is not finite, or no terms at all.
        """
        sums: dict[tuple[int, ...], float] = {}
        for place, term in enumerate(terms):
            coefficient, exponents = _checked(place, term)
            sums[exponents] = sums.get(exponents, 0.0) + coefficient
        if len({len(exponents) for exponents in sums}) != 1:
            counts = sorted({len(exponents) for exponents in sums})
            raise ConfigError(f"terms: every term needs one exponent an agent, got terms of {counts} agents")
        return cls(sums)

    @classmethod
    def constant(cls, value: float, agents: int) -> "Polynomial":
        """The same number everywhere."""
        return cls({(0,) * agents: float(value)})

    @classmethod
    def variable(cls, agent: int, agents: int) -> "Polynomial":
        """x_agent."""
        return cls({tuple(int(i == agent) for i in range(agents)): 1.0})

    @property
    def agents(self) -> int:
        """N."""
        return len(next(iter(self.coefficients)))

    @property
    def terms(self) -> list[tuple[float, tuple[int, ...]]]:
        """[(coefficient, exponents), ...] in the order of the exponents; what `of` takes."""
        return [(self.coefficients[exponents], exponents) for exponents in sorted(self.coefficients)]

    def __add__(self, other: "Polynomial") -> "Polynomial":
        return Polynomial.of([*self.terms, *other.terms])

    def __mul__(self, other: "Polynomial | float") -> "Polynomial":
        factor = other if isinstance(other, Polynomial) else Polynomial.constant(other, self.agents)
        return Polynomial.of(
            (a * b, tuple(i + j for i, j in zip(p, q, strict=True)))
            for a, p in self.terms
            for b, q in factor.terms
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Values [...] at x [..., N]."""
        exponents = torch.tensor([p for _, p in self.terms], device=x.device)
        coefficients = torch.tensor([c for c, _ in self.terms], dtype=x.dtype, device=x.device)
        return (x.unsqueeze(-2).pow(exponents).prod(-1) * coefficients).sum(-1)

    def derivative(self, agent: int) -> "Polynomial":
        """With respect to x_agent; zero as one constant term."""
        return self._derivatives[agent]

    @cached_property
    def _derivatives(self) -> list["Polynomial"]:
        return [self._derivative(i) for i in range(self.agents)]

    def _derivative(self, agent: int) -> "Polynomial":
        terms = [
            (c * p[agent], tuple(e - (i == agent) for i, e in enumerate(p)))
            for c, p in self.terms
            if p[agent]
        ]
        return Polynomial.of(terms) if terms else Polynomial.constant(0.0, self.agents)

    def gradient(self, x: Tensor) -> Tensor:
        """[..., N] at x [..., N]."""
        return torch.stack([self.derivative(i)(x) for i in range(self.agents)], dim=-1)

    def hessian(self, x: Tensor) -> Tensor:
        """[..., N, N] at x [..., N]."""
        return torch.stack([self.derivative(i).gradient(x) for i in range(self.agents)], dim=-2)

    def curvature_bound(self) -> float:
        """An upper bound of the Hessian's norm on [-1, 1]^N: the largest row sum of absolute coefficients."""
        rows = (
            sum(self.derivative(i).derivative(j).size() for j in range(self.agents))
            for i in range(self.agents)
        )
        return max(rows)

    def size(self) -> float:
        """Sum of absolute coefficients: an upper bound of the absolute value on [-1, 1]^N."""
        return float(sum(abs(c) for c in self.coefficients.values()))


def _checked(place: int, term: tuple[float, Sequence[int]]) -> tuple[float, tuple[int, ...]]:
    """One term as (float, tuple of int)."""
    try:
        coefficient, exponents = term
        coefficient, exponents = float(coefficient), tuple(exponents)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"terms[{place}]={term!r}: write (coefficient, exponents)") from error
    if not np.isfinite(coefficient):
        raise ConfigError(f"terms[{place}]: the coefficient is {coefficient}, not a finite number")
    whole = all(isinstance(e, int | np.integer) and not isinstance(e, bool) and e >= 0 for e in exponents)
    if not exponents or not whole:
        raise ConfigError(f"terms[{place}]: exponents are whole numbers of at least 0, got {exponents}")
    return coefficient, tuple(int(e) for e in exponents)
