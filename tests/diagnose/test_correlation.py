"""Coefficients where they are known, and a reason where there are none."""

import math

import numpy as np
import pytest
import torch

from mbrl.diagnose.correlation import correlate, correlations

ALL = torch.ones(1, 200, dtype=torch.bool)


def draws(seed, n=200):
    return torch.randn(1, n, generator=torch.Generator().manual_seed(seed))


def test_a_line_is_1_and_its_mirror_minus_1():
    u = draws(0).abs()
    found = correlate(u, 3 * u + 1, ALL)
    assert (float(found.pearson[0]), float(found.spearman[0])) == pytest.approx((1, 1))
    falling = correlate(u, 9 - 2 * u, ALL)
    assert (float(falling.pearson[0]), float(falling.spearman[0])) == pytest.approx((-1, -1))
    assert found.reason == ("",)


def test_rank_sees_any_rise_and_the_variance_is_the_square():
    u = draws(1).abs()
    found = correlate(u, u.sqrt(), ALL)
    assert float(found.spearman[0]) == pytest.approx(1)
    assert float(found.pearson[0]) < 0.99
    assert float(found.pearson_variance[0]) == pytest.approx(1)


def test_against_the_formulas():
    u, spread = draws(2), (draws(2) + draws(3)).abs()
    found = correlate(u, spread, ALL)

    def pearson(x, y):
        x, y = x - x.mean(), y - y.mean()
        return (x * y).sum() / math.sqrt((x**2).sum() * (y**2).sum())

    x, y = u[0].double().numpy(), spread[0].double().numpy()
    ranks = [np.array([float((z < value).sum()) for value in z]) for z in (x, y)]
    assert float(found.pearson[0]) == pytest.approx(pearson(x, y))
    assert float(found.pearson_variance[0]) == pytest.approx(pearson(x, y**2))
    assert float(found.spearman[0]) == pytest.approx(pearson(*ranks))


def test_independent_draws_have_none_and_seeds_are_apart():
    u = torch.cat([draws(4), draws(5)])
    spread = torch.cat([u[:1], draws(6)])
    found = correlations({"a": u}, spread, ALL.expand(2, -1))["a"]
    assert float(found.pearson[0]) == pytest.approx(1)
    assert abs(float(found.pearson[1])) < 0.2


def test_void_rows_do_not_count():
    u, spread = draws(7), draws(7)
    u[0, :50] = torch.nan
    where = ALL.clone()
    where[0, :50] = False
    assert float(correlate(u, spread, where).pearson[0]) == pytest.approx(1)
    found = correlate(u, spread, ALL)
    assert found.pearson.isnan().all()
    assert "not finite" in found.reason[0]


@pytest.mark.parametrize(
    ("u", "spread", "reason"),
    [
        (torch.zeros(1, 200), draws(8), "the measure is constant (0): nothing to correlate"),
        (torch.full((1, 200), 0.3) + 1e-9 * draws(1), draws(8), "the measure is constant (0.3)"),
        (draws(8), torch.full((1, 200), 2.0), "the critics' spread is constant (2)"),
    ],
)
def test_a_constant_has_no_correlation_and_says_so(u, spread, reason):
    found = correlate(u, spread, ALL)
    assert found.reason[0].startswith(reason)
    assert all(x.isnan().all() for x in (found.pearson, found.pearson_variance, found.spearman))


def test_too_few_rows():
    where = torch.zeros(1, 200, dtype=torch.bool)
    where[0, :2] = True
    assert correlate(draws(1), draws(2), where).reason == ("2 rows are too few",)
