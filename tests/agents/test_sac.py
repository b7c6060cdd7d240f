"""SAC against a plain reimplementation, the direction of every step, and a problem whose answer is known."""

import math

import pytest
import torch

from mbrl.agents import SAC
from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions, ValuedPolicy
from tests.agents.naive_sac import NaiveSAC, sequential
from tests.fakes import random_transitions

double = pytest.mark.usefixtures("double")


def doubled(batch: Transitions) -> Transitions:
    return batch.map(lambda x: x.double() if x.is_floating_point() else x)


@double
@pytest.mark.parametrize(("critics", "eta"), [(2, 0.0), (4, 1.0)])
def test_updates_equal_a_plain_reimplementation(critics, eta):
    seeds, updates = (3, 8), 6
    agent = SAC(3, 2, seeds=seeds, num_critics=critics, eta=eta, hidden=(16, 16), tau=0.05, **rates(3e-3))
    naive = [NaiveSAC(agent, s, 3e-3) for s in range(2)]
    streams, noise = Streams(seeds, "train"), Streams(seeds, "train")
    for i in range(updates):
        batch = doubled(random_transitions(2, 12, seed=i))
        metrics = agent.update(batch, streams)
        first, second = noise.randn(12, 2), noise.randn(12, 2)
        for s, other in enumerate(naive):
            expected = other.update(batch[s], first[s], second[s])
            for name, value in expected.items():
                assert metrics[name][s].item() == pytest.approx(value, rel=1e-5), (i, name)
    for s, other in enumerate(naive):
        assert same_weights(sequential(agent.actor.net, (s,)), other.actor)
        for i in range(critics):
            assert same_weights(sequential(agent.critics.net, (s, i)), other.critics[i])
            assert same_weights(sequential(agent.targets.net, (s, i)), other.targets[i])


def rates(lr):
    return {"actor_lr": lr, "critic_lr": lr, "alpha_lr": lr}


def same_weights(a, b):
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return all(torch.allclose(p, q, rtol=1e-5, atol=1e-9) for p, q in pairs)


@double
def test_metrics_are_what_their_names_say():
    agent = SAC(3, 2, seeds=(0,), num_critics=3, hidden=(8,))
    batch = doubled(random_transitions(1, 10))
    q = agent.critics(batch.obs, batch.action).detach()[0]
    target = agent.target(batch, Streams((0,), "t")).detach()
    loss, info = agent.critic_loss(batch, target, Streams((0,), "t"))
    assert info["critic/q_mean"].item() == pytest.approx(q.mean().item())
    assert info["critic/q_max"].item() == pytest.approx(q.max().item())
    spread = sum(q[:, b].std(correction=0).item() for b in range(10)) / 10
    assert info["critic/q_std"].item() == pytest.approx(spread)
    gradients = torch.autograd.grad(loss.sum(), agent.critic_parameters)
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    metrics = agent._update_critics(batch, Streams((0,), "t"))
    assert metrics["critic/gradient_norm"].item() == pytest.approx(norm)


def test_values_are_those_of_the_critics_at_any_action_and_at_the_deterministic_one():
    agent, batch = SAC(3, 2, seeds=(0, 1), num_critics=3, hidden=(8,)), random_transitions(2, 5)
    assert isinstance(agent, ValuedPolicy)
    found = agent.q_values(batch.obs, batch.action)
    assert torch.equal(found, agent.critics(batch.obs, batch.action))
    assert (found.shape, found.requires_grad) == ((2, 3, 5), False)
    assert torch.equal(agent.values(batch.obs), agent.q_values(batch.obs, agent.act(batch.obs)))


def test_targets_equal_critics_at_birth_and_follow_slowly():
    agent = SAC(3, 2, seeds=(0, 1), hidden=(8,), tau=0.1)
    for p, t in zip(agent.critics.parameters(), agent.targets.parameters(), strict=True):
        assert torch.equal(p, t)
        assert p.data_ptr() != t.data_ptr()
        assert not t.requires_grad
    before = [t.clone() for t in agent.targets.parameters()]
    agent.update(random_transitions(2, 8), Streams((0, 1), "train"))
    for p, t, b in zip(agent.critics.parameters(), agent.targets.parameters(), before, strict=True):
        assert torch.allclose(t, 0.9 * b + 0.1 * p, rtol=1e-5, atol=1e-8)


def test_the_critic_step_moves_values_towards_their_target():
    agent = SAC(3, 2, hidden=(32, 32), gamma=0.0, critic_lr=3e-3)
    batch, streams = random_transitions(1, 16), Streams((0,), "train")

    def error():
        return (agent.critics(batch.obs, batch.action) - batch.reward.unsqueeze(1)).square().mean().item()

    errors = [error()]
    for _ in range(40):
        agent._update_critics(batch, streams)
        errors.append(error())
    assert errors[1] < errors[0]
    assert errors[-1] < 0.5 * errors[0]


def test_the_actor_step_raises_the_smallest_value_of_its_actions():
    agent = SAC(3, 2, num_critics=3, hidden=(16, 16), auto_alpha=False, alpha=1e-6, actor_lr=1e-3)
    batch, streams = random_transitions(1, 64), Streams((0,), "train")
    before = [p.clone() for p in agent.critics.parameters()]
    values = [agent.values(batch.obs).amin(1).mean().item()]
    for _ in range(30):
        agent._update_actor(batch, streams)
        values.append(agent.values(batch.obs).amin(1).mean().item())
    assert values[-1] > values[0]
    assert all(torch.equal(p, b) for p, b in zip(agent.critics.parameters(), before, strict=True))


@pytest.mark.parametrize(("target", "sign"), [(50.0, 1), (-50.0, -1)])
def test_alpha_rises_below_the_target_entropy_and_falls_above(target, sign):
    agent = SAC(3, 2, seeds=(0, 1), hidden=(8,), target_entropy=target, alpha=0.5)
    for i in range(3):
        before = agent.alpha
        metrics = agent.update(random_transitions(2, 8, seed=i), Streams((0, 1), f"{i}"))
        assert (sign * (agent.alpha - before) > 0).all()
        assert torch.equal(metrics["actor/alpha"], agent.alpha)


def test_a_fixed_temperature_stays_and_a_target_entropy_of_zero_is_one():
    agent = SAC(3, 2, hidden=(8,), auto_alpha=False, alpha=0.2, target_entropy=0.0)
    agent.update(random_transitions(1, 8), Streams((0,), "train"))
    assert agent.alpha.tolist() == pytest.approx([0.2])
    assert agent.target_entropy == 0.0
    assert SAC(3, 5, hidden=(8,)).target_entropy == -5.0


def test_a_cap_holds_the_temperature_that_is_used_but_not_the_one_that_is_tuned():
    agent = SAC(3, 2, hidden=(8,), alpha=3.0, alpha_max=2.0, target_entropy=50.0)
    before = agent.log_alpha.item()
    metrics = agent.update(random_transitions(1, 8), Streams((0,), "train"))
    assert agent.alpha.tolist() == [2.0]
    assert metrics["actor/alpha"].tolist() == [2.0]
    assert agent.log_alpha.item() > before
    assert SAC(3, 2, hidden=(8,), alpha=1.5, alpha_max=2.0).alpha.item() == pytest.approx(1.5)


@double
def test_entropy_may_be_left_out_of_targets_and_values():
    batch = doubled(random_transitions(1, 20))
    with_entropy, without = (
        SAC(3, 2, hidden=(8,), alpha=0.7, backup_entropy=b, log_std_bounds=(-2.0, -1.9))
        for b in (True, False)
    )
    noise = Streams((0,), "t").randn(20, 2)
    action, log_prob = without.actor.sample(batch.next_obs, noise)
    smallest = without.targets(batch.next_obs, action).amin(-2)
    alive = ~batch.terminal
    target = without.target(batch, Streams((0,), "t"))
    assert torch.allclose(target, batch.reward + 0.99 * alive * smallest)
    difference = with_entropy.target(batch, Streams((0,), "t")) - target
    assert torch.allclose(difference, -0.99 * alive * 0.7 * log_prob)
    for agent, alpha in ((with_entropy, 0.7), (without, 0.0)):
        bonus = agent.act_soft(batch.next_obs, Streams((0,), "t"))[1]
        assert torch.allclose(bonus, -alpha * log_prob)


def test_the_diversity_term_spreads_action_gradients():
    def spread(eta):
        agent = SAC(3, 2, num_critics=4, eta=eta, hidden=(16,), critic_lr=3e-3)
        streams = Streams((0,), "train")
        for i in range(60):
            agent.update(random_transitions(1, 32, seed=i), streams)
        _, g = agent.critics.value_and_action_gradient(
            *(getattr(random_transitions(1, 64), k) for k in ("obs", "action"))
        )
        unit = g / g.norm(dim=-1, keepdim=True)
        return torch.einsum("snba,smba->", unit, unit).item()

    assert spread(5.0) < spread(0.0)


def test_a_timeout_bootstraps_and_a_terminal_does_not():
    agent = SAC(3, 2, hidden=(8,))
    batch = random_transitions(1, 50)
    noise = [Streams((0,), "t") for _ in range(2)]
    flipped = Transitions(**{**vars(batch), "timeout": ~batch.timeout})
    target = agent.target(batch, noise[0])
    assert torch.equal(target, agent.target(flipped, noise[1]))
    assert torch.equal(target[batch.terminal], batch.reward[batch.terminal])
    assert (target[~batch.terminal] != batch.reward[~batch.terminal]).all()


def test_the_actors_step_size_falls_and_the_critics_does_not():
    agent, streams = SAC(3, 2, hidden=(8,), actor_lr_cosine=4), Streams((0,), "train")
    batch, moved = random_transitions(1, 16), []
    for _ in range(6):
        before = agent.actor_parameters[0].clone(), agent.critic_parameters[0].clone()
        agent.update(batch, streams)
        after = agent.actor_parameters[0], agent.critic_parameters[0]
        moved.append([(x - y).abs().max().item() for x, y in zip(after, before, strict=True)])
    actor, critic = zip(*moved, strict=True)
    assert actor[0] > actor[1] > actor[2] > actor[3] > 0
    assert actor[4:] == (0.0, 0.0)
    assert min(critic) > 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_critics": 0}, "num_critics=0"),
        ({"num_critics": 1, "eta": 1.0}, "num_critics=1 with eta=1.0: diversity compares at least 2"),
        ({"alpha": 0.0}, "alpha=0.0, alpha_max=inf: the temperature must be positive"),
        ({"alpha_max": 0.0}, "alpha_max=0.0: the temperature must be positive"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SAC(3, 2, **options)


def test_one_critic_without_diversity_is_allowed():
    metrics = SAC(3, 2, num_critics=1, hidden=(8,)).update(random_transitions(1, 8), Streams((0,), "t"))
    assert metrics["critic/q_std"].tolist() == [0.0]


@pytest.mark.parametrize(("critics", "eta"), [(2, 0.0), (4, 0.05)])
def test_a_bandit_with_its_optimum_at_three_tenths_is_solved(critics, eta):
    # one state, one step: Q(a) = -(a - 0.3)^2 and the best action is 0.3
    seeds = (0, 1)
    options = {"auto_alpha": False, "alpha": 0.01, **rates(5e-3)}
    agent = SAC(1, 1, seeds=seeds, num_critics=critics, eta=eta, hidden=(32, 32), **options)
    draws, streams = Streams(seeds, "data"), Streams(seeds, "train")
    zeros, end = torch.zeros(2, 64, 1), torch.ones(2, 64, dtype=torch.bool)
    for _ in range(300):
        action = 2 * draws.rand(64, 1) - 1
        reward = -(action.squeeze(-1) - 0.3).square()
        agent.update(Transitions(zeros, action, reward, zeros, end, ~end, torch.zeros(2, 64).long()), streams)
    assert agent.act(torch.zeros(2, 1, 1)).flatten().tolist() == pytest.approx([0.3, 0.3], abs=0.06)
    grid = torch.linspace(-0.8, 0.8, 9).view(1, 9, 1).expand(2, 9, 1)
    q = agent.critics(torch.zeros(2, 9, 1), grid)
    assert torch.allclose(q, -(grid - 0.3).square().squeeze(-1).unsqueeze(1), atol=0.05)
