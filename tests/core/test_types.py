"""Transitions: checked on construction, moved and indexed as one."""

from dataclasses import replace

import pytest
import torch

from mbrl.core.errors import DataError
from mbrl.core.types import Agent, Dynamics, EnvSpec, Policy, concatenate
from tests.fakes import Towards, Walk, random_transitions


@pytest.mark.parametrize("lead", [(5,), (2, 5)])
def test_shapes_and_sizes(lead):
    rows = random_transitions(*lead, obs_dim=4, action_dim=3)
    assert len(rows) == 5
    assert (rows.obs_dim, rows.action_dim) == (4, 3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("obs", torch.zeros(4, 3), r"obs: leading axes \(4,\) do not match reward's \(5,\)"),
        ("action", torch.zeros(2, 5, 2), r"action: leading axes \(2, 5\)"),
        ("terminal", torch.zeros(5, 1, dtype=torch.bool), r"terminal: leading axes \(5, 1\)"),
        ("reward", torch.zeros(5, 1), r"do not match reward's \(5, 1\)"),
        ("next_obs", torch.zeros(5, 4), r"next_obs is shaped \(5, 4\), obs \(5, 3\)"),
        ("sim_state", torch.zeros(3, 4), r"sim_state: leading axes \(3,\)"),
        ("terminal", torch.zeros(5), "terminal and timeout are bool, got torch.float32"),
        ("timeout", torch.zeros(5, dtype=torch.uint8), "got torch.bool, torch.uint8"),
    ],
)
def test_inconsistent_fields_are_named(field, value, message):
    with pytest.raises(DataError, match=message):
        replace(random_transitions(5), **{field: value})


def test_an_index_a_seed_gives_rows_a_seed():
    rows = random_transitions(6)
    index = torch.tensor([[0, 5], [3, 3], [1, 2]])
    picked = rows[index]
    assert picked.obs.shape == (3, 2, 3)
    for s in range(3):
        for b in range(2):
            assert torch.equal(picked.obs[s, b], rows.obs[index[s, b]])
            assert picked.reward[s, b] == rows.reward[index[s, b]]


def test_map_and_to_leave_out_what_is_absent():
    rows = random_transitions(4)
    assert rows.map(torch.clone).sim_state is None
    with_state = replace(rows, sim_state=torch.zeros(4, 2, dtype=torch.float64))
    assert with_state.to("cpu").sim_state.dtype == torch.float64
    assert with_state[:2].sim_state.shape == (2, 2)


@pytest.mark.parametrize("lead", [(), (2,)])
def test_concatenate_joins_the_batch_axis_and_drops_a_partial_sim_state(lead):
    a, b = random_transitions(*lead, 3, seed=0), random_transitions(*lead, 4, seed=1)
    joined = concatenate([replace(a, sim_state=torch.zeros(*lead, 3, 1)), b])
    assert joined.reward.shape == (*lead, 7)
    assert torch.equal(joined.obs[..., :3, :], a.obs)
    assert torch.equal(joined.terminal[..., 3:], b.terminal)
    assert joined.sim_state is None
    both = concatenate([replace(x, sim_state=torch.zeros(*lead, len(x), 1)) for x in (a, b)])
    assert both.sim_state.shape == (*lead, 7, 1)


def test_protocols_know_their_own():
    assert isinstance(Walk(), Dynamics)
    assert isinstance(Towards(), Policy)
    assert not isinstance(Towards(), Agent)


def test_an_environment_needs_no_more_than_its_id():
    assert EnvSpec("Hopper-v5") == EnvSpec("Hopper-v5", {}, {})
