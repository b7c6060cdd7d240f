"""Multi-agent TD3 and TD3+BC: targets and updates once more, as plainly as PyTorch allows."""

import copy

import pytest
import torch
from torch import nn

from mbrl.agents.multi import MATD3, MATD3BC
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from tests.fakes import joint_transitions

pytestmark = pytest.mark.usefixtures("double")
SEED = (4,)


def batch_of(layout, i, rows=6):
    rows = joint_transitions(layout, 1, rows, seed=i)
    return rows.map(lambda x: x.double() if x.is_floating_point() else x)


def sequential(net, index):
    """One network of a stack as nn.Linear layers with ReLU between them."""
    modules = []
    for layer in net.layers:
        linear = nn.Linear(layer.fan_in, layer.fan_out)
        with torch.no_grad():
            linear.weight.copy_(layer.weight[index].T)
            linear.bias.copy_(layer.bias[index].squeeze(0))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class NaiveMATD3BC:
    """Agents without padding, one after the other: from the weights of `agent`'s seed, without its code."""

    def __init__(self, agent, central, data, lr, noise, clip, delay):
        count = range(agent.layout.agents)
        self.central, self.data, self.noise, self.clip, self.delay = central, data, noise, clip, delay
        self.actors = [sequential(agent.actors.net, (0, i)) for i in count]
        self.critics = [[sequential(agent.critics.net, (0, i, k)) for k in range(2)] for i in count]
        self.target_actors, self.target_critics = copy.deepcopy(self.actors), copy.deepcopy(self.critics)
        self.actor_steps = [torch.optim.Adam(a.parameters(), lr=lr) for a in self.actors]
        self.critic_steps = [
            torch.optim.Adam([p for c in pair for p in c.parameters()], lr=lr) for pair in self.critics
        ]
        self.done = 0

    def x(self, i, obs, actions):
        if self.central:
            return torch.cat([*obs.unbind(1), *actions], -1)
        return torch.cat([obs[:, i], actions[i]], -1)

    def update(self, batch, noise):
        obs, action = batch.obs[0], list(batch.action[0].unbind(1))
        following, reward, going = batch.next_obs[0], batch.reward[0], (~batch.terminal[0]).double()
        with torch.no_grad():
            smoothed = [
                (torch.tanh(a(following[:, j])) + (self.noise * noise[:, j]).clamp(-self.clip, self.clip))
                for j, a in enumerate(self.target_actors)
            ]
            smoothed = [a.clamp(-1, 1) for a in smoothed]
        losses = []
        for i, pair in enumerate(self.critics):
            with torch.no_grad():
                q = [c(self.x(i, following, smoothed)).squeeze(-1) for c in self.target_critics[i]]
                y = reward + 0.99 * going * torch.min(*q)
            loss = sum(((c(self.x(i, obs, action)).squeeze(-1) - y) ** 2).mean() for c in pair)
            self.critic_steps[i].zero_grad()
            loss.backward()
            self.critic_steps[i].step()
            losses.append(loss.item())
        if self.done % self.delay == 0:
            with torch.no_grad():
                now = [torch.tanh(a(obs[:, j])) for j, a in enumerate(self.actors)]
            for i, actor in enumerate(self.actors):
                own = torch.tanh(actor(obs[:, i]))
                joint = list(action if self.data else now)
                joint[i] = own
                q = self.critics[i][0](self.x(i, obs, joint)).squeeze(-1)
                loss = ((own - action[i]) ** 2).mean() - 2.5 / q.abs().mean().detach() * q.mean()
                self.actor_steps[i].zero_grad()
                loss.backward()
                self.actor_steps[i].step()
            online = [*self.actors, *(c for pair in self.critics for c in pair)]
            targets = [*self.target_actors, *(c for pair in self.target_critics for c in pair)]
            with torch.no_grad():
                for network, target in zip(online, targets, strict=True):
                    for p, q in zip(network.parameters(), target.parameters(), strict=True):
                        q.copy_(0.995 * q + 0.005 * p)
        self.done += 1
        return sum(losses) / len(losses)


@pytest.mark.parametrize(
    "layout", [Layout((3,), (2,)), Layout((3, 3, 3), (2, 2, 2))], ids=["td3_bc", "three"]
)
@pytest.mark.parametrize("critic", ["central", "independent"])
@pytest.mark.parametrize("others", ["data", "policies"])
def test_it_is_td3_bc_agent_by_agent(layout, critic, others):
    agent = MATD3BC(
        layout, seeds=SEED, hidden=(16, 16), critic=critic, others=others, actor_lr=1e-3, critic_lr=1e-3
    )
    naive = NaiveMATD3BC(agent, critic == "central", others == "data", 1e-3, 0.2, 0.5, 2)
    streams, again = Streams(SEED, "t"), Streams(SEED, "t")
    for i in range(6):
        batch = batch_of(layout, i)
        info = agent.update(batch, streams)
        loss = naive.update(batch, again.randn(6, layout.agents, 2).double()[0])
        assert info["critic/loss"].item() == pytest.approx(loss, rel=1e-6)
    obs = batch_of(layout, 9).obs
    plain = torch.stack([torch.tanh(a(obs[0, :, j])) for j, a in enumerate(naive.actors)], 1)
    assert torch.allclose(agent.act(obs)[0], plain, atol=1e-7)
    plain = torch.stack([torch.tanh(a(obs[0, :, j])) for j, a in enumerate(naive.target_actors)], 1)
    assert torch.allclose(agent.target_actors(obs)[0], plain, atol=1e-7)


def test_targets_are_not_clamped_and_stop_at_terminals():
    layout = Layout((3, 3), (1, 1))
    agent = MATD3(layout, seeds=SEED, hidden=(8,), policy_noise=0.0)
    with torch.no_grad():
        agent.target_critics.net.layers[-1].weight.zero_()
        agent.target_critics.net.layers[-1].bias.copy_(
            torch.tensor([-5.0, -2.0, 3.0, 7.0]).view(1, 2, 2, 1, 1)
        )
    batch = batch_of(layout, 0)
    batch.terminal.copy_(torch.arange(6) < 2)
    target = agent.target(batch, Streams(SEED, "t"))
    assert torch.allclose(target[0, :, :2], batch.reward[0, :2].expand(2, 2))
    assert torch.allclose(target[0, 0, 2:], batch.reward[0, 2:] - 0.99 * 5.0)
    assert torch.allclose(target[0, 1, 2:], batch.reward[0, 2:] + 0.99 * 3.0)


def test_actors_and_targets_move_in_every_second_update_and_the_count_is_saved():
    layout = Layout((3, 3), (1, 1))
    agent = MATD3BC(layout, seeds=SEED, hidden=(8,), policy_delay=2)

    def moved(updated, i):
        names = ("actors", "target_actors", "target_critics", "critics")
        before = [updated.state_dict()[n]["net.layers.1.weight"].clone() for n in names]
        updated.update(batch_of(layout, i), Streams(SEED, "t"))
        return [
            not torch.equal(b, updated.state_dict()[n]["net.layers.1.weight"])
            for b, n in zip(before, names, strict=True)
        ]

    assert moved(agent, 0) == [True] * 4
    other = MATD3BC(layout, seeds=SEED, hidden=(8,), policy_delay=2)
    other.load_state_dict(agent.state_dict())
    assert moved(other, 1) == moved(agent, 1) == [False, False, False, True]
    assert moved(other, 2) == [True] * 4


def test_only_updates_that_are_all_alike_can_be_captured():
    layout = Layout((3,), (1,))
    assert not MATD3BC(layout, hidden=(8,)).capturable
    assert MATD3BC(layout, hidden=(8,), policy_delay=1).capturable


def test_without_cloning_alpha_does_not_matter_to_the_step():
    layout = Layout((3, 3), (1, 1))
    ends = []
    for alpha in (0.5, 20.0):
        agent = MATD3BC(layout, seeds=SEED, hidden=(8,), alpha=alpha, bc_weight=0.0, policy_noise=0.0)
        for i in range(5):
            agent.update(batch_of(layout, i), Streams(SEED, "t"))
        ends.append(agent.act(batch_of(layout, 9).obs))
    assert torch.allclose(*ends, atol=1e-6)
