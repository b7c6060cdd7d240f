"""Polynomials: values, gradients and Hessians against loops, autograd and finite differences."""

import math

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.dynamics.games.polynomial import Polynomial

TERMS = [(2.0, (1, 0, 3)), (-0.5, (0, 2, 1)), (1.5, (0, 0, 0)), (0.25, (4, 1, 0))]


def points(rows=50, agents=3):
    return 2 * torch.rand(rows, agents, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


def test_values_are_those_of_a_naive_loop():
    x = points()
    found = Polynomial.of(TERMS)(x)
    for row, value in zip(x.tolist(), found.tolist(), strict=True):
        naive = sum(c * math.prod(v**e for v, e in zip(row, p, strict=True)) for c, p in TERMS)
        assert value == pytest.approx(naive, abs=1e-13)


def test_gradient_and_hessian_are_autograds():
    x, polynomial = points().requires_grad_(), Polynomial.of(TERMS)
    (first,) = torch.autograd.grad(polynomial(x).sum(), x, create_graph=True)
    second = [torch.autograd.grad(first[:, i].sum(), x, retain_graph=True)[0] for i in range(3)]
    torch.testing.assert_close(polynomial.gradient(x), first)
    torch.testing.assert_close(polynomial.hessian(x), torch.stack(second, dim=-2))


def test_the_gradient_is_that_of_finite_differences():
    x, polynomial, h = points(), Polynomial.of(TERMS), 1e-6
    steps = h * torch.eye(3, dtype=torch.float64)
    naive = torch.stack([(polynomial(x + e) - polynomial(x - e)) / (2 * h) for e in steps], dim=-1)
    torch.testing.assert_close(polynomial.gradient(x), naive, rtol=1e-6, atol=1e-8)


def test_the_gradient_is_finite_at_zero():
    assert Polynomial.of([(1.0, (1, 1))]).gradient(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_sums_and_products_by_hand():
    x = Polynomial.variable(0, 2)
    square = (x + Polynomial.variable(1, 2) * -1.0) * (x + Polynomial.variable(1, 2) * -1.0)
    assert square.terms == [(1.0, (0, 2)), (-2.0, (1, 1)), (1.0, (2, 0))]


def test_equal_exponents_are_one_term():
    assert Polynomial.of([(1.0, (1, 1)), (2.0, (1, 1))]).terms == [(3.0, (1, 1))]


def test_the_curvature_is_bounded():
    polynomial = Polynomial.of(TERMS)
    norms = torch.linalg.matrix_norm(polynomial.hessian(points(2000)), ord=2)
    assert norms.max() <= polynomial.curvature_bound()
    assert Polynomial.of([(1.0, (2, 0)), (1.0, (0, 2))]).curvature_bound() == 2.0


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([(1.0, (1, 0)), (1.0, (1,))], r"one exponent an agent, got terms of \[1, 2\] agents"),
        ([(1.0, (1, -1))], r"terms\[0\]: exponents are whole numbers of at least 0, got \(1, -1\)"),
        ([(1.0, (1, 0.5))], r"terms\[0\]: exponents"),
        ([(1.0, (1, 1)), (math.nan, (1, 1))], r"terms\[1\]: the coefficient is nan"),
        ([3.0], r"terms\[0\]=3.0: write \(coefficient, exponents\)"),
        ([], "terms: every term"),
    ],
)
def test_wrong_terms(terms, message):
    with pytest.raises(ConfigError, match=message):
        Polynomial.of(terms)
