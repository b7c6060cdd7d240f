"""Losses of several agents by hand and by loops."""

import math

import pytest
import torch
from torch.distributions import Normal

from mbrl.agents.multi import losses
from mbrl.agents.multi.metrics import critic_metrics, ordered_mean


def test_cloning_counts_real_actions_alone():
    mask = torch.tensor([[True, False], [True, True]])
    mine = torch.tensor([[[0.5, 9.0], [0.0, 0.5]], [[0.0, 9.0], [1.0, 0.0]]]).unsqueeze(0)
    data = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]]).unsqueeze(0)
    found = losses.masked_square(mine, data, mask)
    assert found.tolist() == [[pytest.approx((0.25 + 1.0) / 2), pytest.approx((0 + 0.25 + 1 + 0) / 4)]]


def test_td3_bc_by_hand_and_lambda_has_no_gradient():
    value = torch.tensor([[[2.0, -6.0]]], requires_grad=True)  # E|Q| = 4, E Q = -2, lambda = 2.5 / 4
    loss = losses.td3_bc(value, torch.tensor([[0.3]]), 2.5, 2.0)
    assert loss.item() == pytest.approx(2.0 * 0.3 + 0.625 * 2.0)
    assert torch.autograd.grad(loss.sum(), value)[0].tolist() == [[[-0.3125, -0.3125]]]
    assert losses.td3_bc(torch.zeros(1, 1, 2), torch.tensor([[0.3]]), 2.5, 1.0).item() == pytest.approx(0.3)


def test_a_soft_value_takes_the_cost_of_entropy_off_the_least_critic():
    q = torch.tensor([[[[3.0], [2.0]], [[-1.0], [5.0]]]])  # [S=1, N=2, K=2, B=1]
    log_prob, alpha = torch.tensor([[[-1.0], [0.5]]]), torch.tensor([[[0.2], [0.4]]])
    own = losses.soft_values(q, alpha * log_prob)
    assert own.flatten().tolist() == [pytest.approx(2.0 + 0.2), pytest.approx(-1.0 - 0.2)]
    joint = losses.soft_values(q, (alpha * log_prob).sum(1, keepdim=True))  # -0.2 + 0.2 = 0
    assert joint.flatten().tolist() == [pytest.approx(2.0), pytest.approx(-1.0)]


def test_the_conservative_gap_is_a_mean_over_rows_and_a_sum_over_critics():
    soft = torch.tensor([[[[1.0, 3.0], [0.0, 2.0]]]])
    data = torch.tensor([[[[0.5, 0.5], [4.0, -2.0]]]])
    assert losses.conservative_gap(soft, data).item() == pytest.approx((2.0 - 0.5) + (1.0 - 1.0))


def test_the_soft_maximum_runs_over_all_samples_with_their_weights():
    g = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 2, 5, 4, generator=g)  # [S, N, K, R, B]
    log_density = torch.randn(2, 5, 4, 3, generator=g)  # [S, R, B, N]
    found = losses.soft_maximum_own(q, log_density, 0.7)
    assert found.shape == (2, 3, 2, 4)
    for s in range(2):
        for i in range(3):
            for k in range(2):
                for b in range(4):
                    terms = [q[s, i, k, r, b] / 0.7 - log_density[s, r, b, i] for r in range(5)]
                    plain = 0.7 * math.log(sum(math.exp(t) for t in terms) / 5)
                    assert found[s, i, k, b].item() == pytest.approx(plain, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("std", [0.05, 0.2, 1.0, 3.0])
@pytest.mark.parametrize("mean", [-1.0, -0.3, 0.95])
def test_truncated_noise_has_its_density(mean, std):
    g = torch.Generator().manual_seed(0)
    uniform = torch.rand(40_000, generator=g)
    action, log_density = losses.truncated_noise(torch.full_like(uniform, mean), std, uniform)
    assert action.abs().max() <= 1
    normal = Normal(torch.tensor(mean).double(), std)
    mass = (normal.cdf(torch.tensor(1.0).double()) - normal.cdf(torch.tensor(-1.0).double())).item()
    assert torch.allclose(log_density.double(), normal.log_prob(action.double()) - math.log(mass), atol=1e-3)
    for x in (-0.9, -0.2, 0.5, 0.97):
        inside = normal.cdf(torch.tensor(x).double()) - normal.cdf(torch.tensor(-1.0).double())
        assert (action <= x).float().mean().item() == pytest.approx((inside / mass).item(), abs=0.01)
    # The mean of 1 / density over the draws is the length of what they cover: importance weights are right.
    if std >= 1:
        assert (-log_density).exp().mean().item() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("mean", [-1.0, -0.8, 0.0, 0.8, 1.0])
def test_truncated_noise_stays_near_its_mean_at_the_ends_of_its_uniforms(mean):
    """A draw rounded to a far bound would weigh exp(800) in an integral."""
    ends = torch.tensor([0.0, 2**-24, 1 - 2**-24])
    action, log_density = losses.truncated_noise(torch.full_like(ends, mean), 0.05, ends)
    assert action.abs().max() <= 1
    assert (action - mean).abs().max() < 0.05 * 6
    assert log_density.min() > -16


def test_omars_objective_by_hand():
    value, gap = torch.tensor([[[1.0, 3.0], [-2.0, 0.0]]]), torch.tensor([[0.5, 2.0]])
    assert losses.omar(value, gap, 0.7)[0].tolist() == [
        pytest.approx(0.7 * 0.5 - 0.3 * 2.0),
        pytest.approx(0.7 * 2.0 + 0.3),
    ]
    assert losses.omar(value, gap, 0.0)[0].tolist() == [-2.0, 1.0]
    assert losses.omar(value, gap, 1.0)[0].tolist() == [0.5, 2.0]


def test_metrics_are_means_over_agents_and_one_greatest_value():
    q = torch.arange(2.0 * 3 * 2 * 4).view(2, 3, 2, 4)
    found = critic_metrics(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]), q, torch.ones(2, 1, 4))
    assert found["critic/loss"].tolist() == [3.0, 1.0]
    assert found["critic/q_mean"].tolist() == [11.5, 35.5]
    assert found["critic/q_max"].tolist() == [23.0, 47.0]
    assert found["critic/q_std"].tolist() == [2.0, 2.0]
    assert found["critic/target_mean"].tolist() == [1.0, 1.0]


def test_ordered_means_by_hand():
    q = torch.tensor([[[[3.0], [1.0]], [[-4.0], [8.0]]]])
    assert ordered_mean(q).flatten().tolist() == [(1.0 - 4.0) / 2, (3.0 + 8.0) / 2]
