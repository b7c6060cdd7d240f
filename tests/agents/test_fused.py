"""The written-out passes against the plain ones: same values and gradients, for any depth and number of critics."""

import pytest
import torch

from mbrl.agents import fused, networks
from mbrl.agents.losses import critic_regression, diversity
from mbrl.agents.networks import Critics
from mbrl.core.seeds import Streams

SHAPES = [((8,), 2), ((8, 5), 3), ((7, 6, 5), 4)]


def critics(hidden: tuple[int, ...], num_critics: int, seeds: int = 2) -> Critics:
    """With weights large enough for slopes and dead units."""
    made = Critics(3, 2, num_critics, hidden, Streams(range(seeds), "t"))
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * 0.6)
    return made


def rows(seeds: int = 2, count: int = 11) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    obs, target = torch.randn(seeds, count, 3, generator=g), torch.randn(seeds, count, generator=g)
    return obs, torch.rand(seeds, count, 2, generator=g) * 2 - 1, target


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("hidden", "num_critics"), SHAPES)
@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_values_action_gradients_and_weight_gradients_are_the_plain_passes(hidden, num_critics, weights):
    made = critics(hidden, num_critics)
    obs, action, target = rows()
    found = []
    for pass_ in (made.value_and_action_gradient, made.fused_value_and_action_gradient):
        q, gradient = pass_(obs, action)
        loss = weights[0] * critic_regression(q, target) + weights[1] * diversity(gradient)
        found.append(
            (q, gradient, *torch.autograd.grad(loss.sum(), list(made.parameters()), allow_unused=True))
        )
    for plain, written_out in zip(*found, strict=True):
        plain = torch.zeros_like(written_out) if plain is None else plain
        assert torch.allclose(plain, written_out, rtol=1e-9, atol=1e-12)
    assert found[1][0].abs().max() > 0.1
    assert found[1][1].abs().max() > 0.1


def test_float32_differs_by_round_off_alone():
    made = critics((64, 64), 5)
    obs, action, target = rows(count=128)
    found = []
    for pass_ in (made.value_and_action_gradient, made.fused_value_and_action_gradient):
        q, gradient = pass_(obs, action)
        loss = critic_regression(q, target) + diversity(gradient)
        found.append(torch.autograd.grad(loss.sum(), list(made.parameters())))
    for plain, written_out in zip(*found, strict=True):
        assert (plain - written_out).abs().max() < 1e-5 * plain.abs().max()


def test_gradients_are_stored_as_a_fused_optimiser_walks_them():
    made = critics((8, 5), 3)
    q, gradient = made.fused_value_and_action_gradient(*rows()[:2])
    for g in torch.autograd.grad(q.sum() + gradient.sum(), list(made.parameters())):
        assert g.is_contiguous()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("hidden", "num_critics"), SHAPES)
def test_the_least_value_and_its_gradient_are_those_of_amin(hidden, num_critics):
    made, weight = critics(hidden, num_critics), rows()[2]
    obs, action, _ = rows()
    action.requires_grad_()
    plain = made(obs, action).amin(dim=-2)
    least = fused.least_value(torch.cat([obs, action], dim=-1), num_critics, made.net.flat_layers())
    assert torch.allclose(plain, least, rtol=1e-12)
    assert len(made(obs, action).argmin(dim=-2).unique()) > 1  # else grouping shows nothing
    expected, found = (torch.autograd.grad((v * weight).sum(), action)[0] for v in (plain, least))
    assert torch.allclose(expected, found, rtol=1e-9, atol=1e-12)


def test_the_least_value_gives_the_critics_no_gradient():
    made = critics((8, 5), 3)
    obs, action, _ = rows()
    least = fused.least_value(torch.cat([obs, action.requires_grad_()], -1), 3, made.net.flat_layers())
    found = torch.autograd.grad(least.sum(), [action, *made.parameters()], allow_unused=True)
    assert found[0] is not None
    assert all(g is None for g in found[1:])


def test_a_critic_that_is_never_the_least_is_an_empty_group():
    made = critics((8, 5), 3)
    with torch.no_grad():
        made.net.layers[-1].bias[:, 1] += 1e3
    obs, action, _ = rows()
    action.requires_grad_()
    least = fused.least_value(torch.cat([obs, action], -1), 3, made.net.flat_layers())
    expected = torch.autograd.grad(made(obs, action).amin(-2).sum(), action)[0]
    assert torch.allclose(torch.autograd.grad(least.sum(), action)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("grouped", [True, False])
def test_critics_choose_the_cheaper_way_by_size(monkeypatch, grouped):
    made, calls = critics((8, 5), 4), []
    monkeypatch.setattr(networks, "GROUP_WORK", 1 if grouped else 1 << 40)
    monkeypatch.setattr(fused, "least_value", lambda x, n, layers: calls.append(n) or x[..., 0])
    made.least_value(*rows()[:2])
    assert calls == ([4] if grouped else [])


@pytest.mark.usefixtures("double")
def test_a_stack_is_its_members():
    both, alone = critics((8, 5), 3), critics((8, 5), 3, seeds=1)
    obs, action, target = rows()
    for s in range(2):
        with torch.no_grad():
            for p, whole in zip(alone.parameters(), both.parameters(), strict=True):
                p.copy_(whole[s : s + 1])
        found = []
        for made, part in ((both, slice(None)), (alone, slice(s, s + 1))):
            q, gradient = made.fused_value_and_action_gradient(obs[part], action[part])
            loss = critic_regression(q, target[part]) + diversity(gradient)
            found.append(torch.autograd.grad(loss.sum(), list(made.parameters())))
        for stacked, single in zip(*found, strict=True):
            assert torch.allclose(stacked[s : s + 1], single, rtol=1e-9, atol=1e-12)
