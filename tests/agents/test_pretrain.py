"""Behaviour cloning of the actor: a plain loop, orders that are used, actions at the edge, stacks and mistakes."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from mbrl.agents import SAC
from mbrl.agents.networks import Actor
from mbrl.agents.pretrain import clone_behaviour
from mbrl.core.errors import DataError, DivergenceError
from mbrl.core.seeds import Streams
from tests.fakes import random_transitions

double = pytest.mark.usefixtures("double")
SEEDS = (3, 8)


def data(n: int = 22):
    return random_transitions(n).map(lambda x: x.double() if x.is_floating_point() else x)


def actor(seeds=SEEDS) -> Actor:
    return Actor(3, 2, (8,), Streams(seeds, "init"))


def clone(network: Actor, rows, seeds=SEEDS, **options):
    given = {"epochs": 3, "lr": 1e-2, "batch_size": 5, "progress": False}
    return clone_behaviour(network, rows, seeds=seeds, **{**given, **options})


@double
def test_it_equals_a_plain_loop_over_fresh_orders():
    rows, network, seen = data(), actor(), []
    plain = [copy.deepcopy(network), copy.deepcopy(network)]
    mean = clone(network, rows, on_epoch=lambda epoch, loss: seen.append((epoch, loss.tolist())))
    streams = Streams(SEEDS, "agent.pretrain")
    optimisers = [torch.optim.Adam(p.parameters(), lr=1e-2) for p in plain]
    orders = []
    for epoch in range(3):
        order = streams.permutation(22)
        orders.append(order)
        for s in range(2):
            losses = []
            for i in range(4):
                picked = order[s, 5 * i : 5 * i + 5]
                average, log_std = (x[s] for x in plain[s](rows.obs[picked].expand(2, 5, 3)))
                policy = TransformedDistribution(Normal(average, log_std.exp()), [TanhTransform()])
                loss = -Independent(policy, 1).log_prob(rows.action[picked]).mean()
                optimisers[s].zero_grad()
                loss.backward()
                optimisers[s].step()
                losses.append(loss.item())
            assert seen[epoch][1][s] == pytest.approx(sum(losses) / 4)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert mean.tolist() == seen[-1][1]
    assert not torch.equal(orders[0], orders[1])
    for name, p in network.named_parameters():
        for s in range(2):
            assert torch.allclose(p[s], dict(plain[s].named_parameters())[name][s], rtol=1e-7, atol=1e-10), (
                name
            )


@double
def test_a_stack_is_its_singles():
    together = actor()
    clone(together, data())
    for s, seed in enumerate(SEEDS):
        alone = actor((seed,))
        clone(alone, data(), (seed,))
        for name, p in alone.named_parameters():
            assert torch.allclose(p[0], dict(together.named_parameters())[name][s], rtol=1e-8, atol=1e-11)


def test_the_policy_moves_to_the_data_and_narrows():
    rows = random_transitions(400)
    rows = replace(rows, action=0.5 * torch.tanh(rows.obs[:, :2]))
    agent = SAC(3, 2, seeds=SEEDS, hidden=(32,))
    obs = rows.obs.expand(2, 400, 3)
    before = (agent.act(obs) - rows.action).abs().mean()
    clone(agent.actor, rows, epochs=40, batch_size=50)
    assert (agent.act(obs) - rows.action).abs().mean() < 0.2 * before
    assert agent.actor(obs)[1].mean() < -1.5


def test_rows_at_the_edge_of_the_actions_are_left_out():
    rows = data(30).map(lambda x: x.float() if x.is_floating_point() else x)
    edge = rows.action.clone()
    edge[::3, 1] = torch.tensor([1.0, -1.0]).repeat(5)
    inner = torch.arange(30) % 3 != 0
    networks = [actor(), actor()]
    clone(networks[0], replace(rows, action=edge))
    clone(networks[1], rows[inner])
    assert all(torch.equal(a, b) for a, b in zip(*(n.parameters() for n in networks), strict=True))
    with pytest.raises(DataError, match="no row to clone: each of the 30 actions"):
        clone(actor(), replace(rows, action=torch.ones_like(edge)))


def test_fewer_rows_than_a_batch_are_one_batch():
    network = actor()
    before = [p.clone() for p in network.parameters()]
    loss = clone(network, random_transitions(3), epochs=1)
    assert loss.isfinite().all()
    assert not torch.equal(before[0], next(iter(network.parameters())))


def test_divergence_names_seed_and_epoch():
    network = actor()
    with torch.no_grad():
        next(iter(network.parameters()))[1].fill_(torch.nan)
    with pytest.raises(DivergenceError, match="seed 8: behaviour cloning's loss is nan in epoch 1"):
        clone(network, random_transitions(20))
