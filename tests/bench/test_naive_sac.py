"""The naive learner computes what ours does: only then are their times comparable."""

import pytest
import torch

from mbrl.agents import SAC
from mbrl.bench.naive_sac import NaiveSAC, descend
from mbrl.core.seeds import Streams
from tests.agents.naive_sac import NaiveSAC as Plain
from tests.fakes import random_transitions

RATE = 3e-3
double = pytest.mark.usefixtures("double")


def learners(critics, eta, hidden=(16, 12, 16)):
    """Ours with two stacked seeds, and a naive learner for the second of them."""
    rates = {"actor_lr": RATE, "critic_lr": RATE, "alpha_lr": RATE}
    agent = SAC(3, 2, seeds=(3, 8), num_critics=critics, eta=eta, hidden=hidden, tau=0.05, **rates)
    return agent, NaiveSAC(agent, 1, eta=eta, tau=0.05, lr=RATE)


def close(a, b, **tolerance):
    assert len(a) == len(b)
    return all(torch.allclose(x, y, **tolerance) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("critics", "eta"), [(2, 0.0), (5, 0.0), (5, 1.0)])
def test_losses_and_gradients_agree_to_float32_round_off(critics, eta):
    agent, naive = learners(critics, eta)
    batch, streams = random_transitions(2, 64), Streams((3, 8), "t")
    noise = streams.randn(64, 2)
    target = torch.randn(2, 64)
    loss, _ = agent.critic_loss(batch, target, streams)
    ours = torch.autograd.grad(loss.sum(), agent.critic_parameters)
    expected = naive.critic_loss(batch[1], target[1])
    expected.backward()
    assert loss[1].item() == pytest.approx(expected.item(), rel=1e-5)
    # In the order of the modules: a layer's weight, its bias; and ParameterLists one after the other.
    theirs = [p.grad for pair in zip(naive.critics.weights, naive.critics.biases, strict=True) for p in pair]
    assert close([g[1] for g in ours], theirs, rtol=1e-3, atol=1e-6)

    action, log_prob = agent.actor.sample(batch.obs, noise)
    loss, _ = agent.actor_loss(batch, action, log_prob)
    ours = torch.autograd.grad(loss.sum(), agent.actor_parameters)
    expected, entropy = naive.actor_loss(batch[1].obs, noise[1])
    expected.backward()
    assert loss[1].item() == pytest.approx(expected.item(), rel=1e-5)
    assert entropy.item() == pytest.approx(-log_prob[1].mean().item(), rel=1e-5)
    first = naive.policy.trunk[0].weight.grad.T
    assert torch.allclose(ours[0][1], first, rtol=1e-3, atol=1e-7)
    heads = torch.cat([naive.policy.mean.weight.grad, naive.policy.log_std.weight.grad]).T
    assert torch.allclose(ours[-2][1], heads, rtol=1e-3, atol=1e-7)


@double
@pytest.mark.parametrize(("critics", "eta"), [(2, 0.0), (4, 1.0)])
def test_updates_agree_step_by_step(critics, eta):
    """In float64, against ours and against the plain reimplementation that ours is tested by."""
    agent, naive = learners(critics, eta)
    plain = Plain(agent, 1, RATE)
    plain.eta, plain.entropy = eta, -2.0
    streams, draws = Streams((3, 8), "t"), Streams((3, 8), "t")
    for i in range(5):
        batch = random_transitions(2, 12, seed=i).map(lambda x: x.double() if x.is_floating_point() else x)
        metrics = agent.update(batch, streams)
        first, second = draws.randn(12, 2)[1], draws.randn(12, 2)[1]
        found = naive.update(batch[1], (first, first, second))
        expected = plain.update(batch[1], first, second)
        assert found["critic"] == pytest.approx(metrics["critic/loss"][1].item(), rel=1e-6)
        assert found["critic"] == pytest.approx(expected["critic/loss"], rel=1e-6)
        assert found["actor"] == pytest.approx(expected["actor/loss"], rel=1e-6)
    for name in ("critics", "targets"):
        ours = [layer.weight[1] for layer in getattr(agent, name).net.layers]
        # The published norm has 1e-10 added to it, which Adam makes more of where a gradient is almost 0.
        assert close(ours, list(getattr(naive, name).weights), rtol=1e-5, atol=1e-6)
    assert naive.log_alpha.item() == pytest.approx(agent.log_alpha[1].item(), rel=1e-6)


def test_the_actors_step_also_fills_the_critics_gradients():
    """What the published codes compute and do not use: the reference must not be faster than they are."""
    _, naive = learners(3, 0.0)
    loss, _ = naive.actor_loss(random_transitions(8).obs)
    descend(naive.policy_optimiser, loss)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in naive.critics.weights)


def test_it_draws_its_own_noise():
    _, naive = learners(2, 0.0)
    obs = random_transitions(8).obs
    assert not torch.equal(naive.policy.act(obs), naive.policy.act(obs))
    assert torch.equal(naive.policy.mode(obs), naive.policy.mode(obs))
