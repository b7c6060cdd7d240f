import math

import pytest
import torch

from mbrl.dynamics.losses import bound_width, gaussian_nll, squared_error


def test_nll_by_hand():
    mean, logvar = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, math.log(4.0)]])
    target = torch.tensor([[3.0, 5.0]])
    # (4 / 1 + 0 + 9 / 4 + log 4) / 2
    assert gaussian_nll(mean, logvar, target).item() == pytest.approx((4 + 2.25 + math.log(4)) / 2, rel=1e-6)


def test_squared_error_by_hand():
    mean, target = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 5.0], [1.0, 0.0]])
    assert squared_error(mean, target).item() == pytest.approx((4 + 9 + 1) / 4, rel=1e-6)


def test_bound_width_by_hand():
    low, high = torch.tensor([[-10.0, -8.0]]), torch.tensor([[0.5, 1.0]])
    assert bound_width(low, high).item() == pytest.approx(10.5 + 9.0, rel=1e-6)


def test_stack_equals_a_naive_loop_over_rows_and_dims():
    g = torch.Generator().manual_seed(0)
    mean, logvar, target = (torch.randn(2, 3, 5, 4, generator=g, dtype=torch.float64) for _ in range(3))
    nll, error = gaussian_nll(mean, logvar, target), squared_error(mean, target)
    for s in range(2):
        for e in range(3):
            a = b = 0.0
            for i in range(5):
                for d in range(4):
                    m, v, y = (x[s, e, i, d].item() for x in (mean, logvar, target))
                    a += (m - y) ** 2 * math.exp(-v) + v
                    b += (m - y) ** 2
            assert nll[s, e].item() == pytest.approx(a / 20, rel=1e-6)
            assert error[s, e].item() == pytest.approx(b / 20, rel=1e-6)


def test_nll_is_least_at_the_empirical_variance():
    target = torch.randn(1, 4000, 1, dtype=torch.float64)
    logvar = torch.zeros(1, 1, 1, dtype=torch.float64, requires_grad=True)
    best = target.square().mean().log()
    gaussian_nll(torch.zeros_like(target), logvar.expand_as(target) + best, target).sum().backward()
    assert logvar.grad.item() == pytest.approx(0.0, abs=1e-9)


def test_gradient_pulls_the_mean_towards_the_target_and_the_bounds_together():
    mean = torch.zeros(1, 1, requires_grad=True)
    gaussian_nll(mean, torch.zeros(1, 1), torch.ones(1, 1)).backward()
    assert mean.grad.item() == pytest.approx(-2.0)
    low, high = torch.full((1, 1), -10.0, requires_grad=True), torch.full((1, 1), 0.5, requires_grad=True)
    bound_width(low, high).backward()
    assert (low.grad.item(), high.grad.item()) == (-1.0, 1.0)


def test_broadcasting_is_refused():
    with pytest.raises(AssertionError, match=r"\(7, 5, 4\).*\(1, 5, 4\)"):
        squared_error(torch.zeros(7, 5, 4), torch.zeros(1, 5, 4))
