"""CQL of several agents: its gap by loops over all 3R actions and in closed form, and what it moves."""

import math

import pytest
import torch
from torch.distributions import Normal

from mbrl.agents.multi import MADDPGCQL, OMAR
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from tests.fakes import joint_transitions

SEEDS = (3, 8)
LAYOUT = Layout((3, 4), (1, 2))
double = pytest.mark.usefixtures("double")


def batch_of(layout=LAYOUT, seeds=2, rows=3):
    dtype = torch.get_default_dtype()
    batch = joint_transitions(layout, seeds, rows)
    return batch.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def bold(agent):
    with torch.no_grad():
        agent.critics.net.layers[-1].weight.mul_(300.0)
        agent.actors.net.layers[-1].weight.mul_(300.0)
    return agent


@double
@pytest.mark.parametrize("make", [MADDPGCQL, OMAR])
@pytest.mark.parametrize("critic", ["central", "independent"])
@pytest.mark.parametrize("others", ["data", "policies"])
def test_the_loss_is_a_loop_over_agents_critics_rows_and_all_actions(make, critic, others):
    agent = bold(
        make(
            LAYOUT,
            seeds=SEEDS,
            hidden=(16,),
            critic=critic,
            others=others,
            repeats=4,
            temperature=0.8,
            cql_width=0.3,
            cql_weight=(0.5, 2.0),
        )
    )
    batch, target = batch_of(), torch.randn(2, 2, 3)
    loss, info = agent.critic_loss(batch, target, Streams(SEEDS, "t"))
    drawn = Streams(SEEDS, "t").rand(12, 3, 2, 2).double()
    here, there = agent.act(batch.obs), agent.act(batch.next_obs)
    fixed = batch.action if others == "data" else here
    for s, weight in enumerate((0.5, 2.0)):
        for i, size in enumerate(LAYOUT.action_dims):
            total = 0.0
            for k in range(2):
                for b in range(3):

                    def value(own, s=s, i=i, k=k, b=b):
                        joint = fixed.clone()
                        joint[s, b, i] = own
                        return agent.critics(batch.obs, joint.unsqueeze(1))[s, i, k, b].item()

                    weighted = []
                    for r in range(12):
                        u = drawn[s, r, b, i]
                        if r < 4:
                            own, log_density = 2 * u - 1, size * math.log(0.5)
                        else:
                            normal = Normal((here if r < 8 else there)[s, b, i], 0.3)
                            low, high = (normal.cdf(torch.tensor(x)) for x in (-1.0, 1.0))
                            own = normal.icdf(low + (high - low) * u)
                            log_density = (normal.log_prob(own) - (high - low).log())[:size].sum().item()
                        weighted.append(value(own) / 0.8 - log_density)
                    soft_max = 0.8 * math.log(sum(map(math.exp, weighted)) / 12)
                    q = agent.critics(batch.obs, batch.action.unsqueeze(1))[s, i, k, b].item()
                    total += (weight * (soft_max - q) + (q - target[s, i, b].item()) ** 2) / 3
            assert loss[s, i].item() == pytest.approx(total, rel=1e-6)
    assert info["critic/conservative_gap"].shape == (2,)


@double
def test_the_soft_maximum_of_a_linear_value_is_its_integral_over_the_agents_own_action():
    """log of int over [-1, 1]^2 of exp(w . a_1 + w' . a_0) da_1 = w' . a_0 + sum_d log 2 sinh(w_d) / w_d."""
    w = (2.0, -1.5)
    agent = MADDPGCQL(LAYOUT, seeds=(0,), num_critics=1, hidden=(), repeats=20_000, cql_width=0.8)
    slopes = torch.tensor([0.0] * 8 + [0.7, 0.0, *w])
    with torch.no_grad():
        agent.critics.net.layers[0].weight.copy_(slopes.view(1, 1, 1, 12, 1).expand(1, 2, 1, 12, 1))
        agent.critics.net.layers[0].bias.zero_()
    batch = batch_of(seeds=1, rows=2)
    q = agent.critics(batch.obs, batch.action.unsqueeze(1))
    gap = agent.conservatism.gap(agent, batch, q, Streams((0,), "t"))
    own = [(0.7,), w]
    for i in range(2):
        integral = math.log(math.prod(2 * math.sinh(x) / x for x in own[i]))
        data = sum((x * batch.action[0, :, i, d]).mean().item() for d, x in enumerate(own[i]))
        assert gap[0, i].item() == pytest.approx(integral - data, abs=0.02)


def test_values_rise_at_the_datas_actions_and_fall_at_others():
    layout = Layout((1, 1), (1, 1))
    agent = MADDPGCQL(layout, seeds=SEEDS, hidden=(32,), cql_weight=1.0, critic_lr=3e-3, gamma=0.0)
    batch = batch_of(layout, rows=64)
    batch.obs.zero_()
    batch.reward.zero_()
    batch.action.copy_(0.5 + 0.1 * batch.action)
    streams = Streams(SEEDS, "t")
    for _ in range(80):
        agent.update(batch, streams)
    at = torch.full((2, 1, 2, 1), 0.5)
    away = at.clone()
    away[:, :, 0] = -0.5  # agent 0 alone leaves the data: its own critics see it
    q = [agent.critics(torch.zeros(2, 1, 2, 1), x.unsqueeze(1))[:, 0] for x in (at, away)]
    assert (q[0] > q[1] + 0.05).all()


def test_the_regulariser_reaches_the_critics_alone():
    agent = MADDPGCQL(LAYOUT, seeds=SEEDS, hidden=(8,))
    batch = batch_of()
    q = agent.critics(batch.obs, batch.action.unsqueeze(1))
    gap = agent.conservatism.gap(agent, batch, q, Streams(SEEDS, "t")).sum()
    assert all(g is None for g in torch.autograd.grad(gap, agent.actor_parameters, allow_unused=True))
