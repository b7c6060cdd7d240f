"""COMBO: its regulariser by loops over all 3R actions and in closed form; what it moves and what it leaves."""

import math

import pytest
import torch

from mbrl.agents import COMBO, SAC
from mbrl.core.checkpoint import flatten
from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from tests.fakes import random_transitions

double = pytest.mark.usefixtures("double")
SEEDS = (3, 8)


def mixed(*lead: int, real: int = 3, **options) -> Transitions:
    """Real rows first, then synthetic ones."""
    batch = random_transitions(*lead, **options)
    batch.step.copy_((torch.arange(lead[-1]) - real + 1).clamp_min(0))
    dtype = torch.get_default_dtype()
    return batch.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def streams(seeds=SEEDS, purpose="t"):
    return Streams(seeds, purpose)


def log_prob_of(agent, s, obs, action):
    """log pi(a|s) of one action [A] at one obs [O], from the density of a tanh of a Gaussian."""
    mean, log_std = agent.actor(obs.expand(len(SEEDS), 1, -1))
    u = torch.atanh(action)
    gaussian = torch.distributions.Normal(mean[s, 0], log_std[s, 0].exp()).log_prob(u)
    return (gaussian - torch.log(1 - action**2)).sum().item()


@double
@pytest.mark.parametrize("states", ["mix", "model"])
def test_the_gap_is_a_loop_over_critics_rows_and_all_actions(states):
    agent = COMBO(3, 2, seeds=SEEDS, num_critics=3, hidden=(16,), repeats=4, states=states, temperature=0.8)
    with torch.no_grad():  # larger values and bolder policies than at birth
        agent.critics.net.layers[-1].weight.mul_(300.0)
        agent.actor.net.layers[-1].weight.mul_(300.0)
    batch = mixed(2, 7)
    gap = agent.conservative_gap(batch, streams())
    again = streams()
    uniform = 2 * again.rand(4, 7, 2).double() - 1
    noise = again.randn(4, 14, 2).double()
    for s in range(2):
        total = 0.0
        for i in range(3):
            pushed_down, pushed_up = [], []
            for b in range(7):

                def value(action, s=s, i=i, b=b):
                    obs = batch.obs[s, b].expand(2, 1, 3)
                    return agent.critics(obs, action.expand(2, 1, 2))[s, i, 0].item()

                weighted = []
                for r in range(4):
                    weighted.append(value(uniform[s, r, b]) / 0.8 - math.log(0.5**2))
                    for where, z in ((batch.obs, noise[s, r, b]), (batch.next_obs, noise[s, r, 7 + b])):
                        action = agent.actor.sample(where[s, b].expand(2, 1, 3), z.expand(2, 1, 2))[0][s, 0]
                        density = log_prob_of(agent, s, where[s, b], action)
                        weighted.append(value(action) / 0.8 - density)
                assert len(weighted) == 12
                soft_max = 0.8 * math.log(sum(map(math.exp, weighted)) / 12)
                if states == "mix" or batch.step[s, b] > 0:
                    pushed_down.append(soft_max)
                if batch.step[s, b] == 0:
                    pushed_up.append(value(batch.action[s, b]))
            assert (len(pushed_down), len(pushed_up)) == (7 if states == "mix" else 4, 3)
            total += sum(pushed_down) / len(pushed_down) - sum(pushed_up) / len(pushed_up)
        assert gap[s].item() == pytest.approx(total, rel=1e-6)


@double
def test_the_soft_maximum_of_a_linear_value_is_its_integral():
    """log of int over [-1, 1]^2 of exp(w . a) = log prod_d 2 sinh(w_d) / w_d, whichever way actions are drawn."""
    w = (2.0, -1.5)
    agent = COMBO(3, 2, seeds=(0,), num_critics=1, hidden=(), repeats=20_000)
    with torch.no_grad():
        agent.critics.net.layers[0].weight.copy_(torch.tensor([0.0, 0.0, 0.0, *w]).view(1, 1, 5, 1))
        agent.critics.net.layers[0].bias.zero_()
        agent.actor.net.layers[0].weight.zero_()
        agent.actor.net.layers[0].bias.copy_(torch.tensor([0.4, -0.3, -0.2, 0.1]))
    batch = mixed(1, 2, real=1)
    gap = agent.conservative_gap(batch, streams((0,))).item()
    integral = math.log(math.prod(2 * math.sinh(x) / x for x in w))
    data = sum(x * a for x, a in zip(w, batch.action[0, 0].tolist(), strict=True))
    assert gap == pytest.approx(integral - data, abs=0.02)


def test_candidates_are_uniform_and_the_policys_here_and_at_the_successor():
    agent = COMBO(3, 2, seeds=SEEDS, hidden=(8,), repeats=500)
    with torch.no_grad():
        agent.actor.net.layers[-1].weight.mul_(1000.0)
    batch = mixed(2, 2)
    action, log_density = agent.candidates(batch, streams())
    assert action.shape == (2, 1500, 2, 2)
    assert log_density.shape == (2, 1500, 2)
    assert action.abs().max() <= 1
    uniform, here, there = action.split(500, dim=1)
    assert uniform.mean().item() == pytest.approx(0.0, abs=0.05)
    assert uniform.square().mean().item() == pytest.approx(1 / 3, abs=0.03)
    assert torch.allclose(log_density[:, :500], torch.tensor(math.log(0.25)))
    for drawn, obs in ((here, batch.obs), (there, batch.next_obs)):
        mean, _ = agent.actor(obs)
        assert torch.allclose(torch.atanh(drawn.clamp(-1 + 1e-6, 1 - 1e-6)).median(1).values, mean, atol=0.3)


def test_the_regulariser_reaches_the_critics_alone():
    agent = COMBO(3, 2, seeds=SEEDS, hidden=(8,))
    gap = agent.conservative_gap(mixed(2, 6), streams()).sum()
    found = torch.autograd.grad(
        gap, [*agent.actor_parameters, agent.log_alpha], allow_unused=True, retain_graph=True
    )
    assert all(g is None for g in found)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(gap, agent.critic_parameters[:2]))


def test_the_loss_is_sacs_plus_the_weighted_gap():
    agent = COMBO(3, 2, seeds=SEEDS, hidden=(8,), cql_weight=2.5)
    batch, target = mixed(2, 6), torch.randn(2, 6)
    loss, info = agent.critic_loss(batch, target, streams())
    base, base_info = SAC.critic_loss(agent, batch, target, streams())
    gap = agent.conservative_gap(batch, streams())
    assert torch.allclose(loss, base + 2.5 * gap)
    assert torch.equal(info["critic/loss"], loss.detach())
    assert torch.equal(info["critic/conservative_gap"], gap.detach())
    assert info.keys() == base_info.keys() | {"critic/conservative_gap"}


def test_rewards_and_targets_are_those_of_sac():
    options = {"seeds": SEEDS, "hidden": (8,)}
    batch = mixed(2, 6)
    targets = [a.target(batch, streams()) for a in (COMBO(3, 2, **options), SAC(3, 2, **options))]
    assert torch.equal(*targets)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_without_weight_it_is_sac_bit_for_bit(weight):
    options = {"seeds": SEEDS, "hidden": (16, 16), "num_critics": 3}
    agent, base = COMBO(3, 2, cql_weight=weight, **options), SAC(3, 2, **options)
    metrics, expected = (a.update(mixed(2, 20), streams(purpose="train")) for a in (agent, base))
    states = [flatten(a.state_dict()) for a in (agent, base)]
    assert states[0].keys() == states[1].keys()
    same = all(torch.equal(metrics[name], expected[name]) for name in expected)
    assert same == (weight == 0)
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[1]) == (weight == 0)


def test_values_sink_away_from_the_data_and_rise_on_it():
    def height(weight):
        """Q on the data above Q at random actions, after some updates on rewards of zero."""
        agent = COMBO(3, 2, seeds=(0,), hidden=(32, 32), cql_weight=weight, critic_lr=3e-3, gamma=0.0)
        drawn = streams((0,), "train")
        for i in range(60):
            batch = mixed(1, 64, real=32, seed=i)
            bold = batch.action.clone()
            bold[:, :32] = 0.5
            agent.update(Transitions(**{**vars(batch), "action": bold, "reward": torch.zeros(1, 64)}), drawn)
        batch = mixed(1, 256, seed=99)
        on, off = (agent.critics(batch.obs, a).mean().item() for a in (0 * batch.action + 0.5, batch.action))
        return on - off

    assert abs(height(0.0)) < 0.05
    assert height(1.0) > 0.2


def test_a_batch_without_rows_of_a_kind_is_not_finite_rather_than_half_a_loss():
    mix, model = (COMBO(3, 2, seeds=SEEDS, hidden=(8,), states=s) for s in ("mix", "model"))
    real, synthetic = mixed(2, 4, real=4), mixed(2, 4, real=0)
    assert mix.conservative_gap(real, streams()).isfinite().all()
    assert model.conservative_gap(real, streams()).isnan().all()
    assert mix.conservative_gap(synthetic, streams()).isnan().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cql_weight": -1.0}, "cql_weight=-1.0, temperature=1.0, repeats=10: must be at least 0"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"repeats": 0}, "repeats=0"),
        ({"states": "models"}, "did you mean 'model'"),
        ({"num_critics": 0}, "num_critics=0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        COMBO(3, 2, **options)
