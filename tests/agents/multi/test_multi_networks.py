"""Stacked actors and critics: born different, blind to padding; their passes and densities against plain ones."""

import math

import pytest
import torch
from torch.distributions import Normal

from mbrl.agents.multi import MASAC, MATD3BC, networks
from mbrl.agents.multi.networks import DeterministicActors, GaussianActors, JointCritics
from mbrl.agents.multi.views import VIEWS
from mbrl.agents.squashed import BOUND, LEAST_STD
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams

LAYOUT = Layout((3, 4, 3), (1, 2, 1))
SEEDS = (3, 8)


def gaussian_actors(layout=LAYOUT, scale=300.0, **options):
    """Policies whose means and widths depend on what they see."""
    actors = GaussianActors(layout, (16,), Streams(SEEDS, "i"), **options)
    with torch.no_grad():
        actors.net.layers[-1].weight.mul_(scale)
    return actors


@pytest.mark.parametrize("make", [MATD3BC, MASAC])
def test_critics_differ_from_birth_between_seeds_agents_and_twins_and_targets_equal_their_own(make):
    agent = make(LAYOUT, seeds=(0, 1), hidden=(8, 8), num_critics=2)
    targets = agent.target_critics if make is MATD3BC else agent.targets
    for layer, target in zip(agent.critics.net.layers, targets.net.layers, strict=True):
        networks = layer.weight.flatten(0, 2)
        assert len(networks) == 2 * 3 * 2
        for i in range(len(networks)):
            for j in range(i):
                assert not torch.equal(networks[i], networks[j])
        assert torch.equal(layer.weight, target.weight)
        assert torch.equal(layer.bias, target.bias)
    batch = torch.randn(2, 6, 3, 4), torch.randn(2, 1, 6, 3, 2)
    q = agent.critics(*batch)
    assert not torch.allclose(q[:, :, 0], q[:, :, 1], atol=1e-6)
    assert torch.equal(q, targets(*batch))
    assert not any(p.requires_grad for p in targets.parameters())


def test_seeds_decide_the_networks_whatever_the_global_generator_did():
    torch.manual_seed(1)
    a = MATD3BC(LAYOUT, seeds=(5,), hidden=(8,))
    torch.manual_seed(2)
    b = MATD3BC(LAYOUT, seeds=(5,), hidden=(8,))
    for x, y in zip(a.critics.parameters(), b.critics.parameters(), strict=True):
        assert torch.equal(x, y)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("joint", [1, 3])
def test_the_critics_passes_agree_with_autograd(view, joint):
    critics = JointCritics(LAYOUT, 2, (16, 16), Streams(SEEDS, "i"), VIEWS[view])
    obs, action = torch.randn(2, 5, 3, 4), torch.rand(2, joint, 5, 3, 2, requires_grad=True)
    q = critics(obs, action)
    assert q.shape == (2, 3, 2, 5)
    assert torch.allclose(critics.first(obs, action), q[:, :, 0])
    value, gradient = critics.fused_value_and_action_gradient(obs, action.detach())
    assert torch.allclose(value, q)
    for i in range(3):
        for k in range(2):
            plain = torch.autograd.grad(q[:, i, k].sum(), action, retain_graph=True)[0][:, i % joint]
            plain = plain.flatten(-2) if view == "central" else plain[:, :, i]
            assert torch.allclose(gradient[:, i, k], plain)
    real = LAYOUT.action_mask()
    padding = gradient[..., ~real.flatten()] if view == "central" else gradient.transpose(1, 3)[..., ~real]
    assert (padding == 0).all()
    parameters = list(critics.parameters())
    losses = [f(obs, action.detach()).square().sum() for f in (critics, critics.fused_value)]
    plain, fused = (torch.autograd.grad(loss, parameters) for loss in losses)
    for a, b in zip(plain, fused, strict=True):
        assert torch.allclose(a, b)
    first = critics.first(obs, action.detach()).square().sum()
    for p, q in zip(torch.autograd.grad(first, parameters), parameters, strict=True):
        assert p.shape == q.shape
        assert (p[:, :, 1:] == 0).all()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("view", VIEWS)
def test_networks_some_at_a_time_are_the_same_as_all_at_once(view, monkeypatch):
    critics = JointCritics(LAYOUT, 2, (16, 16), Streams(SEEDS, "i"), VIEWS[view])
    obs, action = torch.randn(2, 5, 3, 4), torch.rand(2, 3, 5, 3, 2)
    found = []
    for rows in (8192, 7 * 5, 1):  # all 12 networks, 7 and 5, one after the other
        monkeypatch.setattr(networks, "BLOCK_ROWS", {"cpu": rows})
        q, gradient = critics.fused_value_and_action_gradient(obs, action)
        loss = (q.square() + gradient.sum(-1) ** 3).sum()
        found.append([q, gradient, *torch.autograd.grad(loss, list(critics.parameters()))])
    for part in found[1:]:
        assert all(torch.allclose(a, b) for a, b in zip(found[0], part, strict=True))


def test_sampled_densities_are_those_of_torch_distributions_over_real_entries():
    actors = gaussian_actors()
    obs, noise = torch.randn(2, 9, 3, 4), torch.randn(2, 9, 3, 2)
    action, log_prob = actors.sample(obs, noise)
    mean, log_std = actors(obs)
    for i, size in enumerate(LAYOUT.action_dims):
        total = torch.zeros(2, 9)
        for j in range(size):
            u = mean[:, :, i, j] + log_std[:, :, i, j].exp() * noise[:, :, i, j]
            assert torch.allclose(action[:, :, i, j], torch.tanh(u))
            total += Normal(mean[:, :, i, j], log_std[:, :, i, j].exp()).log_prob(u)
            total -= torch.log(1 - torch.tanh(u.double()) ** 2).float()
        assert torch.allclose(log_prob[:, :, i], total, atol=1e-3)
    assert (action[..., ~LAYOUT.action_mask()] == 0).all()


@pytest.mark.usefixtures("double")
def test_the_density_of_a_sampled_action_is_the_one_it_came_with_and_its_gradient_that_of_differences():
    actors = gaussian_actors(scale=30.0)
    obs = torch.randn(2, 9, 3, 4)
    action, log_prob = actors.sample(obs, 0.5 * torch.randn(2, 9, 3, 2))
    action = action.detach().requires_grad_()
    found = actors.log_prob(obs, action)
    assert found.shape == (2, 9, 3)
    assert torch.allclose(found, log_prob, atol=1e-8)
    gradient = torch.autograd.grad(found.sum(), action)[0]
    step = 1e-6 * torch.randn_like(action)
    both = [actors.log_prob(obs, action + sign * step).sum() for sign in (1, -1)]
    assert ((both[0] - both[1]) / 2).item() == pytest.approx((gradient * step).sum().item(), rel=1e-5)


@pytest.mark.parametrize("beyond", [1.0, -1.0, 1.5, BOUND])
def test_densities_and_their_gradients_are_finite_at_the_bounds_and_lead_inwards(beyond):
    actors = gaussian_actors(scale=1.0)
    action = torch.full((2, 4, 3, 2), beyond, requires_grad=True)
    log_prob = actors.log_prob(torch.randn(2, 4, 3, 4), action)
    gradient = torch.autograd.grad(log_prob.sum(), action)[0]
    assert log_prob.isfinite().all()
    assert gradient.isfinite().all()
    real = LAYOUT.action_mask()
    assert (gradient[..., ~real] == 0).all()
    assert (gradient[..., real] * math.copysign(1, beyond) < 0).all()


@pytest.mark.parametrize("log_std", [-5.0, -2.0, -0.5, 0.5, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.6, -4.0])
def test_the_gaussian_of_a_policy_has_its_samples_moments(mean, log_std):
    layout = Layout((1,), (1,))
    actors = GaussianActors(layout, (), Streams((0,), "i"))
    with torch.no_grad():
        actors.net.layers[0].weight.zero_()
        actors.net.layers[0].bias.copy_(torch.tensor([mean, log_std]).view(1, 1, 1, 2))
    found_mean, found_std = (x.item() for x in actors.gaussian(torch.zeros(1, 1, 1, 1)))
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(200_000, generator=g, dtype=torch.float64)
    drawn = torch.tanh(mean + math.exp(log_std) * noise)
    assert found_mean == pytest.approx(drawn.mean().item(), abs=0.01)
    assert found_std == pytest.approx(max(drawn.std().item(), LEAST_STD), rel=0.02)


def test_the_gaussian_of_padding_is_standard_and_of_a_saturated_policy_not_a_point():
    agent = MASAC(LAYOUT, seeds=SEEDS, hidden=(8,))
    with torch.no_grad():
        agent.actors.net.layers[-1].bias.fill_(100.0)
    mean, std = agent.gaussian(torch.randn(2, 4, 3, 4))
    assert mean.shape == std.shape == (2, 4, 3, 2)
    real = LAYOUT.action_mask()
    assert (mean[..., ~real] == 0).all()
    assert (std[..., ~real] == 1).all()
    assert (std[..., real] >= 1e-4).all()


def test_a_deterministic_policy_is_the_tanh_of_its_own_network():
    actors = DeterministicActors(LAYOUT, (), Streams(SEEDS, "i"))
    obs = torch.randn(2, 4, 3, 4)
    layer = actors.net.layers[0]
    for s in range(2):
        for i in range(3):
            seen = torch.where(LAYOUT.obs_mask()[i], obs[s, :, i], 0.0)
            plain = torch.tanh(seen @ layer.weight[s, i] + layer.bias[s, i])
            size = LAYOUT.action_dims[i]
            assert torch.allclose(actors(obs)[s, :, i, :size], plain[:, :size], atol=1e-6)
