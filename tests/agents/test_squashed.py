"""The density of a squashed Gaussian and its moments, by hand, by numbers drawn, and at its ends."""

import math

import pytest
import torch

from mbrl.agents import BC, SAC
from mbrl.agents.squashed import BOUND, log_density, moments
from mbrl.core.maths import squashed_sample
from mbrl.core.seeds import Streams
from mbrl.core.types import Guide

MEAN, LOG_STD = torch.tensor([0.3, -1.0]), torch.tensor([-0.5, -2.0])


def test_the_density_by_hand():
    # a = tanh(0.5): N(0.5; 0.3, e^-1) in u, divided by da/du = 1 - a^2.
    a = math.tanh(0.5)
    std = math.exp(-0.5)
    u = math.exp(-0.5 * ((0.5 - 0.3) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    found = log_density(torch.tensor(a, dtype=torch.float64), MEAN[0].double(), LOG_STD[0].double())
    assert found.item() == pytest.approx(math.log(u / (1 - a * a)), abs=1e-7)


def test_it_is_what_sampling_reports():
    noise = torch.randn(1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    action, log_prob = squashed_sample(MEAN.double(), LOG_STD.double(), noise)
    assert torch.allclose(log_density(action, MEAN.double(), LOG_STD.double()).sum(-1), log_prob, atol=1e-6)


def test_it_adds_up_to_one():
    grid = torch.linspace(-BOUND, BOUND, 200_001, dtype=torch.float64)
    density = log_density(grid, MEAN[0].double(), LOG_STD[0].double()).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1.0, abs=1e-4)


def test_on_and_beyond_the_bounds_it_is_finite_and_leads_inwards():
    action = torch.tensor([1.0, -1.0, 1.5], requires_grad=True)
    value = log_density(action, torch.zeros(3), torch.zeros(3))
    value.sum().backward()
    assert value.isfinite().all()
    assert (action.grad * action.detach() < 0).all()


@pytest.mark.parametrize(("mean", "log_std"), [(0.3, -0.5), (-1.0, -2.0), (2.0, 0.0), (0.0, -5.0)])
def test_moments_are_those_of_samples(mean, log_std):
    noise = torch.randn(400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    action = torch.tanh(mean + math.exp(log_std) * noise)
    found = moments(torch.tensor(mean), torch.tensor(log_std))
    assert found[0].item() == pytest.approx(action.mean().item(), abs=5e-3)
    assert found[1].item() == pytest.approx(action.std().item(), rel=0.03)


def test_a_saturated_policy_keeps_a_width():
    assert moments(torch.tensor(30.0), torch.tensor(-5.0))[1].item() == pytest.approx(1e-4)


def test_sac_is_a_guide_and_cloning_is_deterministic():
    sac = SAC(3, 2, seeds=(0, 1), hidden=(8,))
    assert isinstance(sac, Guide)
    obs = torch.randn(2, 5, 3)
    action, bonus = sac.act_soft(obs, Streams((0, 1), "a"))
    expected = -bonus / sac.alpha.unsqueeze(-1)
    assert torch.allclose(sac.log_prob(obs, action), expected, atol=1e-4)
    mean, std = sac.gaussian(obs)
    assert mean.shape == std.shape == (2, 5, 2)
    assert not isinstance(BC(3, 2, hidden=(8,)), Guide)
    assert BC.deterministic
