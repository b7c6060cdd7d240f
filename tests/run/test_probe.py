"""Values by depth, against an agent whose value is a known function of the state."""

import math
from dataclasses import replace

import pytest
import torch

from mbrl.core.seeds import Streams
from mbrl.run.experience import MixedData, RealData
from mbrl.run.probe import HasValues, reach_probe
from mbrl.run.sources import ModelRollouts
from tests.fakes import Towards, Walk, random_transitions

SEEDS = (0, 1)


class Known:
    """Critics 10 s_0, 10 s_0 + 3 and 10 s_0 - 6 (seed 1: twice as much): mean 10 s_0 - 1, minimum 5 below it."""

    def values(self, obs):
        scale = torch.tensor([1.0, 2.0]).view(2, 1, 1)
        return scale * (10 * obs[..., 0].unsqueeze(1) + torch.tensor([0.0, 3.0, -6.0]).view(3, 1))


class Right(Towards):
    """Always one step to the right."""

    def act(self, obs, streams=None):
        return torch.tensor([1.0, 0.0]).expand(*obs.shape[:-1], 2)


def walked(ends=None, horizon=3):
    """Rollouts to the right from 0, so that a state of depth t is at s_0 = t."""
    data = random_transitions(20)
    data = replace(data, obs=torch.zeros_like(data.obs))
    source = ModelRollouts(Walk(**({"ends": ends} if ends else {})), data, horizon=horizon)
    experience = MixedData(data, source, starts=50, retain=1)
    experience.refresh(Right(), Streams(SEEDS, "r"))
    return experience


def test_values_by_depth_are_those_of_the_states_there():
    metrics = reach_probe(Known(), walked(), Streams(SEEDS, "p"), rows=200)
    for depth in range(4):
        q = 10 * depth - 1
        assert metrics[f"reach/q_depth_{depth}"].tolist() == pytest.approx([q, 2 * q], rel=1e-5)
        assert metrics[f"reach/penalty_depth_{depth}"].tolist() == pytest.approx([5, 10], rel=1e-5)
    assert len(metrics) == 8


def test_terminal_successors_are_left_out_and_a_depth_without_rows_is_nan():
    # rollouts end on reaching 2, so no state of depth 2 is ever bootstrapped from, and none of depth 3 exists
    metrics = reach_probe(Known(), walked(ends=lambda s: s[..., 0] >= 2), Streams(SEEDS, "p"), rows=200)
    assert metrics["reach/q_depth_1"].tolist() == pytest.approx([9, 18])
    for depth in (2, 3):
        assert all(math.isnan(x) for x in metrics[f"reach/q_depth_{depth}"].tolist())
        assert all(math.isnan(x) for x in metrics[f"reach/penalty_depth_{depth}"].tolist())


def test_only_some_terminal_at_a_depth():
    # from 0 or 1, ending on reaching 2: the survivors of depth 1 are those that started at 0
    experience = walked(ends=lambda s: s[..., 0] >= 2)
    data = experience.dataset.data
    data.obs[::2, 0] = 1.0
    experience.refresh(Right(), Streams(SEEDS, "again"))
    metrics = reach_probe(Known(), experience, Streams(SEEDS, "p"), rows=400)
    assert metrics["reach/q_depth_1"].tolist() == pytest.approx([9, 18])
    found = metrics["reach/q_depth_0"].tolist()
    assert found == pytest.approx([4, 8], abs=2)  # half the data at 0, half at 1


def test_model_free_experience_has_depth_zero_alone():
    data = replace(random_transitions(20), obs=torch.ones(20, 3))
    metrics = reach_probe(Known(), RealData(data), Streams(SEEDS, "p"), rows=50)
    assert list(metrics) == ["reach/q_depth_0", "reach/penalty_depth_0"]
    assert metrics["reach/q_depth_0"].tolist() == pytest.approx([9, 18])


def test_an_agent_without_critics_is_told_apart():
    assert isinstance(Known(), HasValues)
    assert not isinstance(Towards(), HasValues)
