"""The model gradient's parts by hand, against naive loops, and as the estimate of a gradient known exactly."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mbrl.dynamics.model_gradient import advantage, adversarial_loss, mixture_log_prob, normalise

E, B, D = 4, 6, 3


def predictions(*lead: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return (torch.randn(*lead, E, B, D, generator=g).double() for _ in range(2))


def test_two_members_by_hand():
    mean, logvar = torch.tensor([[[0.0]], [[2.0]]]), torch.tensor([[[0.0]], [[math.log(4.0)]]])
    found = mixture_log_prob(torch.tensor([[1.0]]), mean, logvar, torch.tensor([0, 1]))
    densities = [math.exp(-0.5), math.exp(-0.5 * 0.25) / 2]
    assert found.item() == pytest.approx(math.log(sum(densities) / 2 / math.sqrt(2 * math.pi)))


def test_the_mixture_is_one_of_joint_densities_over_elites_alone():
    mean, logvar = predictions(2)
    elites, x = torch.tensor([[3, 1], [0, 2]]), torch.linspace(-1, 1, 2 * B * D).view(2, B, D).double()
    found = mixture_log_prob(x, mean, logvar, elites)
    for s in range(2):
        for b in range(B):
            density = 0.0
            for k in elites[s].tolist():
                product = 1.0
                for d in range(D):
                    std = math.exp(0.5 * logvar[s, k, b, d])
                    z = (x[s, b, d].item() - mean[s, k, b, d].item()) / std
                    product *= math.exp(-0.5 * z * z) / (std * math.sqrt(2 * math.pi))
                density += product / 2
            assert found[s, b].item() == pytest.approx(math.log(density))
    reference = MixtureSameFamily(
        Categorical(torch.ones(B, 2)),
        Independent(Normal(mean[0, [3, 1]].movedim(0, 1), (0.5 * logvar[0, [3, 1]]).exp().movedim(0, 1)), 1),
    )
    assert torch.allclose(found[0], reference.log_prob(x[0]))


def test_a_sharp_model_does_not_underflow():
    # 11 dims, deviations of exp(-5), a sample 0.75 away in each: the density is below every float
    dims, std = 11, math.exp(-5)
    mean = torch.stack([torch.zeros(1, dims), torch.full((1, dims), 1.5)]).requires_grad_()
    logvar = torch.full((2, 1, dims), -10.0)
    x = torch.full((1, dims), 0.75)
    found = mixture_log_prob(x, mean, logvar, torch.tensor([0, 1]))
    expected = dims * (-0.5 * (0.75 / std) ** 2 + 5 - 0.5 * math.log(2 * math.pi))
    assert expected < -6.6e4
    assert math.exp(expected) == 0.0
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.sum().backward()
    # half of each member's pull, (x - mean) / variance; a log-density of 7e4 is good to 0.01 in float32
    assert torch.allclose(mean.grad[:, 0, 0], torch.tensor([0.5, -0.5]) * 0.75 / std**2, rtol=0.01)


def test_advantage_by_hand_and_no_bootstrap_beyond_a_terminal():
    reward, terminal = torch.tensor([1.0, 1.0, 2.0]), torch.tensor([False, True, True])
    next_value, value = torch.tensor([10.0, 10.0, torch.inf]), torch.tensor([3.0, 3.0, 0.5])
    assert advantage(reward, terminal, next_value, value, 0.5).tolist() == [3.0, -2.0, 1.5]


def test_normalise_leaves_void_rows_out():
    x = torch.tensor([[1.0, 3.0, torch.nan, 5.0], [2.0, 2.0, 2.0, 9.0]])
    alive = torch.tensor([[True, True, False, True], [True, True, True, False]])
    found = normalise(x, alive)
    std = math.sqrt(8 / 3)
    assert found[0].tolist() == pytest.approx([-2 / std, 0.0, 0.0, 2 / std])
    assert found[1].tolist() == [0.0] * 4
    assert normalise(x, torch.zeros_like(alive)).tolist() == [[0.0] * 4] * 2


def test_equal_advantages_are_nothing_to_go_by():
    x = torch.full((1, 257), 123.456)
    assert normalise(x, torch.ones_like(x, dtype=torch.bool)).abs().max() < 1e-3


def test_loss_by_hand_mean_and_sum():
    log_prob = torch.tensor([[1.0, 2.0, 100.0], [4.0, 5.0, 6.0]], requires_grad=True)
    weight = torch.tensor([[1.0, -2.0, 7.0], [1.0, 1.0, 1.0]])
    alive = torch.tensor([[True, True, False], [False, False, False]])
    assert adversarial_loss(log_prob, weight, alive).tolist() == [-1.5, 0.0]
    total = adversarial_loss(log_prob, weight, alive, total=True)
    assert total.tolist() == [-3.0, 0.0]
    total.sum().backward()
    assert log_prob.grad.tolist() == [[1.0, -2.0, 0.0], [0.0, 0.0, 0.0]]


def test_its_gradient_is_that_of_the_expected_value():
    """E[ r + gamma c s' ] of a mixture is mean_k (mean_k,r + gamma c mean_k,s'): linear, so known exactly."""
    rows, gamma, c = 400_000, 0.9, 2.0
    g = torch.Generator().manual_seed(1)
    mean = torch.tensor(
        [[0.3, -0.2], [-0.5, 0.4]], dtype=torch.float64, requires_grad=True
    )  # (s', r) by member
    logvar = torch.tensor([[-1.0, -0.5], [0.2, -1.5]], dtype=torch.float64)
    member = torch.randint(2, (rows,), generator=g)
    noise = torch.randn(rows, 2, generator=g).double()
    x = (mean[member] + (0.5 * logvar[member]).exp() * noise).detach()
    gain = advantage(
        x[:, 1], torch.zeros(rows, dtype=torch.bool), c * x[:, 0], torch.full((rows,), 0.7), gamma
    )
    alive = torch.ones(rows, dtype=torch.bool)
    members = mean.unsqueeze(1).expand(2, rows, 2), logvar.unsqueeze(1).expand(2, rows, 2)
    log_prob = mixture_log_prob(x, *members, torch.tensor([0, 1]))
    adversarial_loss(log_prob, normalise(gain, alive), alive).backward()
    exact = torch.tensor([[gamma * c, 1.0]] * 2).double() / 2 / gain.std(correction=0)
    assert torch.allclose(mean.grad, exact, atol=0.01)
