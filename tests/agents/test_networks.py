"""Actor and critics against torch.distributions, loops over critics and double backward."""

import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from mbrl.agents.losses import critic_regression, diversity
from mbrl.agents.networks import Actor, Critics
from mbrl.core.seeds import Streams

pytestmark = pytest.mark.usefixtures("double")


def batch(seeds=2, rows=6, obs_dim=3, action_dim=2):
    g = torch.Generator().manual_seed(0)
    return torch.randn(seeds, rows, obs_dim, generator=g), torch.rand(
        seeds, rows, action_dim, generator=g
    ) - 0.5


def rough(module: torch.nn.Module) -> torch.nn.Module:
    """With weights large enough for slopes, saturation and dead units."""
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * 0.6)
    return module


def test_actor_is_the_squashed_normal_of_its_two_heads():
    actor = rough(Actor(3, 2, (8, 8), Streams([0, 1], "t")))
    obs, _ = batch()
    mean, log_std = actor(obs)
    noise = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(1)) * 0.1
    action, log_prob = actor.sample(obs, noise)
    reference = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    assert torch.allclose(action, (mean + noise * log_std.exp()).tanh())
    assert torch.allclose(actor.mode(obs), mean.tanh())
    inner = action.abs().amax(-1) < 0.999
    assert inner.any()
    assert torch.allclose(log_prob[inner], reference.log_prob(action).sum(-1)[inner], rtol=1e-6)


def test_log_std_is_clipped_to_its_bounds():
    actor = rough(Actor(3, 2, (8,), Streams([0], "t"), log_std_bounds=(-0.1, 0.2)))
    _, log_std = actor(100 * torch.randn(1, 500, 3))
    assert (log_std.min().item(), log_std.max().item()) == pytest.approx((-0.1, 0.2))


def test_a_new_policy_is_nearly_the_unit_normal_squashed():
    mean, log_std = Actor(3, 2, (64, 64), Streams([0], "t"))(batch(1)[0])
    assert mean.abs().max() < 0.03
    assert log_std.abs().max() < 0.03


def test_critics_are_a_loop_over_linear_layers():
    critics = rough(Critics(3, 2, 4, (8, 8), Streams([0, 1], "t")))
    obs, action = batch()
    q = critics(obs, action)
    assert q.shape == (2, 4, 6)
    for s in range(2):
        for i in range(4):
            h = torch.cat([obs[s], action[s]], dim=-1)
            for layer in critics.net.layers[:-1]:
                h = torch.relu(h @ layer.weight[s, i] + layer.bias[s, i])
            last = critics.net.layers[-1]
            assert torch.allclose(q[s, i], (h @ last.weight[s, i] + last.bias[s, i]).squeeze(-1), rtol=1e-12)


def test_initialisation_is_edacs():
    critics = Critics(3, 2, 5, (64, 64), Streams([0, 1], "t"))
    *hidden, last = critics.net.layers
    for layer in hidden:
        assert layer.bias.unique().tolist() == pytest.approx([0.1])
        assert layer.weight.abs().max() <= layer.fan_in**-0.5
    assert 2.8e-3 < last.weight.abs().max() <= 3e-3
    assert 0 < last.bias.abs().max() <= 3e-3
    head = Actor(3, 2, (64, 64), Streams([0], "t")).net.layers[-1]
    assert 0.9e-3 < head.weight.abs().max() <= 1e-3


def test_critics_of_one_seed_differ_from_birth_in_every_layer():
    critics = Critics(3, 2, 5, (8, 8), Streams([0, 1], "t"))
    for layer in critics.net.layers:
        assert len(layer.weight.detach().flatten(0, 1).flatten(1).unique(dim=0)) == 10


@pytest.mark.parametrize("hidden", [(8,), (8, 8), (16, 8, 4)])
def test_values_and_action_gradients_are_those_of_autograd(hidden):
    critics = rough(Critics(3, 2, 4, hidden, Streams([0, 1], "t")))
    obs, action = batch()
    q, gradients = critics.value_and_action_gradient(obs, action)
    assert torch.allclose(q, critics(obs, action), rtol=1e-12)
    action = action.requires_grad_()
    for i in range(4):
        (expected,) = torch.autograd.grad(critics(obs, action)[:, i].sum(), action)
        assert torch.allclose(gradients[:, i], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("hidden", [(8,), (16, 8, 4)])
def test_it_sends_the_weights_what_double_backward_sends(hidden):
    critics = rough(Critics(3, 2, 3, hidden, Streams([0, 1], "t")))
    parameters = list(critics.parameters())
    obs, action = batch()
    target = torch.zeros(2, 6)

    q, gradients = critics.value_and_action_gradient(obs, action)
    loss = critic_regression(q, target) + 0.7 * diversity(gradients)
    fast = torch.autograd.grad(loss.sum(), parameters)

    copies = action.unsqueeze(1).expand(2, 3, 6, 2).clone().requires_grad_()
    x = torch.cat([obs.unsqueeze(1).expand(2, 3, 6, 3), copies], dim=-1)
    q = critics.net(x).squeeze(-1)
    (gradients,) = torch.autograd.grad(q.sum(), copies, create_graph=True)
    loss = critic_regression(q, target) + 0.7 * diversity(gradients)
    slow = torch.autograd.grad(loss.sum(), parameters)
    for a, b in zip(fast, slow, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_critics_whose_units_are_all_off_have_zero_gradients_and_harm_nothing():
    critics = rough(Critics(3, 2, 2, (8, 8), Streams([0], "t")))
    with torch.no_grad():
        critics.net.layers[0].bias[0, 0] = -1e6
    obs, action = batch(1)
    q, gradients = critics.value_and_action_gradient(obs, action)
    assert gradients[0, 0].abs().max() == 0
    loss = critic_regression(q, torch.zeros(1, 6)) + diversity(gradients)
    weights = torch.autograd.grad(loss.sum(), list(critics.parameters()))
    assert all(w.isfinite().all() for w in weights)
    assert max(w.abs().max() for w in weights) < 1e4
