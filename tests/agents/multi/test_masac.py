"""Multi-agent SAC: one agent of it is SAC, its losses by loops, and whose entropy a value counts."""

import pytest
import torch

from mbrl.agents import SAC
from mbrl.agents.multi import MASAC
from mbrl.core.joint import Layout, with_agent_axis
from mbrl.core.seeds import Streams
from tests.fakes import joint_transitions, random_transitions

SEEDS = (3, 8)
LAYOUT = Layout((3, 4), (1, 2))
double = pytest.mark.usefixtures("double")


def batch_of(layout=LAYOUT, i=0, rows=6):
    dtype = torch.get_default_dtype()
    rows = joint_transitions(layout, 2, rows, seed=i)
    return rows.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def bold(agent):
    """Larger values and bolder policies than at birth."""
    with torch.no_grad():
        for net in (agent.critics.net, agent.targets.net, agent.actors.net):
            net.layers[-1].weight.mul_(300.0)
        agent.log_alpha.copy_(torch.tensor([[-1.0, 0.5], [0.2, -2.0]])[:, : agent.layout.agents])
    return agent


@pytest.mark.parametrize("critic", ["central", "independent"])
@pytest.mark.parametrize("others", ["data", "policies"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_critics": 4, "eta": (0.0, 1.0)},
        {"auto_alpha": False, "alpha": 0.3, "backup_entropy": False},
        {"target_entropy": 0.5, "alpha_max": 0.8, "critic_lr": (1e-3, 3e-4)},
    ],
    ids=["sac", "edac", "fixed", "capped"],
)
def test_one_agent_is_sac_to_the_bit(critic, others, options):
    team = MASAC(Layout((3,), (2,)), seeds=SEEDS, hidden=(16, 16), critic=critic, others=others, **options)
    single = SAC(3, 2, seeds=SEEDS, hidden=(16, 16), **options)
    streams = Streams(SEEDS, "t"), Streams(SEEDS, "t")
    for i in range(4):
        rows = random_transitions(2, 8, seed=i)
        a, b = team.update(with_agent_axis(rows), streams[0]), single.update(rows, streams[1])
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    obs = torch.randn(2, 5, 3)
    noise = Streams(SEEDS, "a"), Streams(SEEDS, "a")
    assert torch.equal(team.act(obs.unsqueeze(2)).squeeze(2), single.act(obs))
    assert torch.equal(team.act(obs.unsqueeze(2), noise[0]).squeeze(2), single.act(obs, noise[1]))


@double
@pytest.mark.parametrize("critic", ["central", "independent"])
@pytest.mark.parametrize("backup_entropy", [True, False])
def test_the_target_by_loops(critic, backup_entropy):
    agent = bold(
        MASAC(LAYOUT, seeds=SEEDS, hidden=(16,), critic=critic, num_critics=3, backup_entropy=backup_entropy)
    )
    batch = batch_of()
    target = agent.target(batch, Streams(SEEDS, "t"))
    noise = Streams(SEEDS, "t").randn(6, 2, 2).double()
    action, log_prob = agent.actors.sample(batch.next_obs, noise)
    q = agent.targets(batch.next_obs, action.unsqueeze(1))
    alpha = agent.log_alpha.exp()
    seen_terminal = 0
    for s in range(2):
        for b in range(6):
            each = [(alpha[s, j] * log_prob[s, b, j]).item() for j in range(2)]
            for i in range(2):
                cost = {"central": sum(each), "independent": each[i]}[critic] * backup_entropy
                value = min(q[s, i, k, b].item() for k in range(3)) - cost
                ended = batch.terminal[s, b].item()
                expected = batch.reward[s, b].item() + (0 if ended else 0.99 * value)
                assert target[s, i, b].item() == pytest.approx(expected)
                seen_terminal += ended
    assert seen_terminal
    assert target.min() < 0  # and nothing clamps it


@double
@pytest.mark.parametrize("others", ["data", "policies"])
def test_the_actors_loss_by_loops_and_each_agents_gradient_is_its_own(others):
    agent = bold(MASAC(LAYOUT, seeds=SEEDS, hidden=(16,), others=others))
    batch = batch_of()
    action, log_prob = agent.actors.sample(batch.obs, torch.randn(2, 6, 2, 2))
    log_prob = log_prob.transpose(1, 2)
    loss, _ = agent.actor_loss(batch, action, log_prob)
    fixed = (batch.action if others == "data" else action).detach()
    for s in range(2):
        for i in range(2):
            total = 0.0
            for b in range(6):
                joint = fixed.clone()
                joint[s, b, i] = action[s, b, i].detach()
                q = agent.critics(batch.obs, joint.unsqueeze(1))[s, i, :, b]
                total += (agent.alpha[s, i] * log_prob[s, i, b] - q.min()).item()
            assert loss[s, i].item() == pytest.approx(total / 6)
    whole = torch.autograd.grad(loss.sum(), agent.actor_parameters, retain_graph=True)
    for i in range(2):
        own = torch.autograd.grad(loss[:, i].sum(), agent.actor_parameters, retain_graph=True)
        for of_all, of_one in zip(whole, own, strict=True):
            assert torch.allclose(of_all[:, i], of_one[:, i])
            assert (of_one[:, 1 - i] == 0).all()


@double
def test_the_temperature_of_each_agent_moves_towards_its_own_target():
    agent = MASAC(Layout((3, 3), (2, 2)), seeds=SEEDS, hidden=(16,))
    with torch.no_grad():  # agent 0 nearly certain, agent 1 wide
        agent.actors.net.layers[-1].bias[:, 0, :, 2:] = -4.0
        agent.actors.net.layers[-1].bias[:, 1, :, 2:] = -0.5
    before = agent.log_alpha.detach().clone()
    agent.update(batch_of(agent.layout), Streams(SEEDS, "t"))
    moved = agent.log_alpha.detach() - before
    assert (moved[:, 0] > 0).all()
    assert (moved[:, 1] < 0).all()


def test_target_entropy_counts_real_actions_by_default():
    agent = MASAC(LAYOUT, seeds=SEEDS, hidden=(8,))
    assert agent.target_entropy.tolist() == [-1.0, -2.0]
    assert MASAC(LAYOUT, seeds=SEEDS, hidden=(8,), target_entropy=(0.5, 1.0)).target_entropy.tolist() == [
        [0.5, 0.5],
        [1.0, 1.0],
    ]


@double
def test_diversity_compares_critics_of_one_agent_by_the_joint_action():
    agent = bold(MASAC(LAYOUT, seeds=SEEDS, hidden=(16,), num_critics=3, eta=2.0))
    plain = bold(MASAC(LAYOUT, seeds=SEEDS, hidden=(16,), num_critics=3))
    batch, target = batch_of(), torch.randn(2, 2, 6)
    spread = agent.critic_loss(batch, target, None)[0] - plain.critic_loss(batch, target, None)[0]
    action = batch.action.unsqueeze(1).requires_grad_()
    q = agent.critics(batch.obs, action)
    for s in range(2):
        for i in range(2):
            total = 0.0
            units = []
            for k in range(3):
                g = torch.autograd.grad(q[s, i, k].sum(), action, retain_graph=True)[0][s, 0].flatten(1)
                units.append(g / g.norm(dim=1, keepdim=True))
            for k in range(3):
                for other in range(3):
                    total += (units[k] * units[other]).sum(1).mean().item() * (k != other)
            assert spread[s, i].item() == pytest.approx(2.0 * total / 2)
