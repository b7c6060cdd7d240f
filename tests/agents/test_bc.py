"""Behaviour cloning: the policy it should find is in the data."""

import pytest
import torch

from mbrl.agents import BC
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from tests.fakes import random_transitions


def with_actions(batch: Transitions, action: torch.Tensor) -> Transitions:
    return Transitions(**{**vars(batch), "action": action})


def test_a_constant_action_is_reproduced():
    agent, streams = BC(3, 2, seeds=(0, 1), hidden=(32,), lr=3e-3), Streams((0, 1), "train")
    constant = torch.tensor([0.5, -0.25])
    for i in range(300):
        metrics = agent.update(
            with_actions(random_transitions(2, 32, seed=i), constant.expand(2, 32, 2)), streams
        )
    error = (agent.act(random_transitions(2, 64, seed=999).obs) - constant).abs()
    assert error.mean() < 0.02
    assert error.max() < 0.2
    assert (metrics["actor/loss"] < 1e-3).all()


def test_a_policy_of_the_state_is_found():
    agent, streams = BC(1, 1, hidden=(32, 32), lr=3e-3), Streams((0,), "train")
    for i in range(300):
        batch = random_transitions(1, 64, obs_dim=1, action_dim=1, seed=i)
        agent.update(with_actions(batch, torch.tanh(batch.obs)), streams)
    obs = torch.linspace(-2, 2, 9).view(1, 9, 1)
    assert torch.allclose(agent.act(obs), torch.tanh(obs), atol=0.05)


def test_loss_and_gradient_norm_by_hand():
    agent = BC(3, 2, seeds=(0, 1), hidden=(8,))
    batch = random_transitions(2, 10)
    loss = (agent.act(batch.obs) - batch.action).square().mean((1, 2))
    metrics = agent.update(batch, Streams((0, 1), "train"))
    assert metrics["actor/loss"].tolist() == pytest.approx(loss.tolist())
    squares = sum(p.grad.flatten(1).square().sum(1) for p in agent.parameters)
    assert metrics["actor/gradient_norm"].tolist() == pytest.approx(squares.sqrt().tolist())


def test_streams_are_not_touched():
    agent, streams = BC(3, 2, hidden=(8,)), Streams((0,), "train")
    before = streams.state_dict()["state"]
    agent.update(random_transitions(1, 8), streams)
    agent.act(torch.zeros(1, 4, 3), streams)
    assert torch.equal(streams.state_dict()["state"], before)
