"""Formulas against arithmetic by hand, torch.distributions, and extremes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from mbrl.core.maths import (
    all_finite,
    gaussian_log_prob,
    polyak_,
    soft_clamp,
    squashed_log_prob,
    squashed_sample,
    tanh_log_det,
)


def test_polyak_moves_by_tau():
    target = [torch.tensor([1.0, 2.0]), torch.tensor([[10.0]])]
    polyak_(target, [torch.tensor([3.0, 2.0]), torch.tensor([[0.0]])], 0.25)
    assert target[0].tolist() == [1.5, 2.0]  # 0.75 * 1 + 0.25 * 3
    assert target[1].tolist() == [[7.5]]  # 0.75 * 10


@pytest.mark.parametrize(("tau", "expected"), [(0.0, 1.0), (1.0, 3.0)])
def test_polyak_at_its_ends_copies_nothing_or_all(tau, expected):
    target = [torch.tensor([1.0])]
    polyak_(target, [torch.tensor([3.0])], tau)
    assert target[0].item() == expected


def test_polyak_is_in_place_and_takes_parameters():
    target, online = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.ones(2))
    address = target.data_ptr()
    polyak_([target], iter([online]), 0.1)
    assert target.data_ptr() == address
    assert torch.allclose(target, torch.full((2,), 0.1))
    assert online.tolist() == [1.0, 1.0]


def test_gaussian_log_prob_by_hand():
    # x = 2, mean = 1, std = 2: -(1/2)^2 / 2 - log 2 - log(2 pi) / 2 = -0.125 - 0.693147 - 0.918939
    got = gaussian_log_prob(torch.tensor(2.0).double(), torch.tensor(1.0), torch.tensor(2.0).double().log())
    assert got.item() == pytest.approx(-1.7370857137646178, rel=1e-12)


def test_tanh_log_det_by_hand():
    # log(1 - tanh(0.5)^2) = log(1 - 0.46211716^2) = log(0.78644773) = -0.24022901
    got = tanh_log_det(torch.tensor([0.0, 0.5, -0.5]).double())
    assert got.tolist() == pytest.approx([0.0, -0.24022901391655, -0.24022901391655], rel=1e-12)


@pytest.mark.parametrize("u", [50.0, -50.0, 1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_log_det_far_out_is_the_asymptote(u, dtype):
    # 1 - tanh(u)^2 -> 4 exp(-2 |u|), far below what 1 - tanh^2 can hold
    x = torch.tensor(u, dtype=dtype, requires_grad=True)
    got = tanh_log_det(x)
    got.backward()
    assert got.item() == pytest.approx(2 * math.log(2) - 2 * abs(u), rel=1e-6)
    assert x.grad.item() == pytest.approx(-2 * math.copysign(1, u), rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.floats(-3, 3), st.floats(-3, 1), st.floats(-2.5, 2.5))
def test_squashed_log_prob_is_that_of_the_transformed_distribution(mean, log_std, noise):
    mean, log_std, noise = (torch.tensor([v]).double() for v in (mean, log_std, noise))
    action, log_prob = squashed_sample(mean, log_std, noise)
    reference = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    u = mean + log_std.exp() * noise
    assert torch.allclose(action, u.tanh())
    before = Normal(mean, log_std.exp()).log_prob(u)
    after = before - reference.transforms[0].log_abs_det_jacobian(u, action)
    assert log_prob.item() == pytest.approx(after.sum().item(), rel=1e-9, abs=1e-9)
    if abs(u.item()) < 5:  # beyond, atanh(tanh(u)) loses digits that the reference needs
        assert log_prob.item() == pytest.approx(reference.log_prob(action).sum().item(), rel=1e-6, abs=1e-6)


def test_squashed_log_prob_sums_over_actions_and_survives_saturation():
    mean = torch.tensor([[50.0, -50.0]]).requires_grad_()
    action, log_prob = squashed_sample(mean, torch.zeros(1, 2), torch.zeros(1, 2))
    log_prob.sum().backward()
    assert action.tolist() == [[1.0, -1.0]]
    # each entry: -log(2 pi) / 2 - (2 log 2 - 100)
    assert log_prob.item() == pytest.approx(
        2 * (100 - 2 * math.log(2) - 0.5 * math.log(2 * math.pi)), rel=1e-6
    )
    assert mean.grad.tolist() == [[2.0, -2.0]]


def test_squashed_density_integrates_to_one():
    # by change of variables, sum over a grid of actions of exp(log_prob) da
    u = torch.linspace(-8, 8, 20001).double()
    mean, log_std = torch.tensor(0.4).double(), torch.tensor(-0.3).double()
    noise = (u - mean) / log_std.exp()
    action, log_prob = squashed_sample(mean.expand(len(u), 1), log_std.expand(len(u), 1), noise.unsqueeze(-1))
    assert torch.trapezoid(log_prob.exp(), action.squeeze(-1)).item() == pytest.approx(1.0, abs=1e-5)


def test_an_actions_log_prob_is_that_of_its_sample():
    g = torch.Generator().manual_seed(0)
    mean, log_std, noise = (0.5 * torch.randn(3, 5, 2, generator=g, dtype=torch.float64) for _ in range(3))
    action, expected = squashed_sample(mean, log_std, noise)
    assert torch.allclose(squashed_log_prob(action, mean, log_std), expected)


def test_soft_clamp_by_hand():
    # x = 0, low = -1, high = 1: 1 - log(1 + e) = -0.3132617; then -1 + log(1 + exp(0.6867383)) = 0.0943443
    got = soft_clamp(torch.tensor(0.0).double(), torch.tensor(-1.0).double(), torch.tensor(1.0).double())
    first = 1 - math.log(1 + math.e)
    assert first == pytest.approx(-0.3132616875, rel=1e-9)
    assert got.item() == pytest.approx(-1 + math.log(1 + math.exp(first + 1)), rel=1e-9)
    assert got.item() == pytest.approx(0.0943443, rel=1e-6)


def test_soft_clamp_holds_its_bounds_keeps_the_middle_and_always_has_a_gradient():
    x = torch.tensor([-1e6, -15.0, -5.0, 0.0, 5.0, 1e6]).double().requires_grad_()
    low, high = torch.tensor(-10.0).double(), torch.tensor(10.0).double()
    y = soft_clamp(x, low, high)
    assert (y >= low).all()
    assert y.max() <= high + 1e-8  # low + softplus(high - low) exceeds high by exp(-(high - low))
    assert y[3].item() == pytest.approx(0.0, abs=1e-4)
    (gradient,) = torch.autograd.grad(y[1:5].sum(), x)
    assert (gradient[1:5] > 0).all()
    assert gradient[1].item() == pytest.approx(1 / (1 + math.exp(5)), rel=1e-3)


def test_rows_with_anything_not_finite_are_told_from_the_largest_numbers_there_are():
    big = torch.finfo(torch.float32).max
    rows = [[0.0, -0.0], [big, big], [-big, big], [torch.inf, 1.0], [torch.inf, -torch.inf], [1.0, torch.nan]]
    assert all_finite(torch.tensor(rows)).tolist() == [True, True, True, False, False, False]
    x = torch.randn(4, 30, 5, generator=torch.Generator().manual_seed(0))
    x.view(-1)[torch.randperm(600, generator=torch.Generator().manual_seed(1))[:40]] = torch.nan
    assert torch.equal(all_finite(x), x.isfinite().all(-1))
