"""Layouts of several agents: padding, masks, and back."""

import pytest
import torch

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.joint import Layout, with_agent_axis, without_agent_axis
from mbrl.core.types import Transitions, concatenate

UNEQUAL = Layout((2, 3), (1, 2))


def rows(*lead: int, layout: Layout = UNEQUAL) -> Transitions:
    """Random joint rows."""
    obs, next_obs = (layout.joint_obs(torch.randn(*lead, sum(layout.obs_dims))) for _ in range(2))
    flags = torch.zeros(lead, dtype=torch.bool)
    action = layout.joint_action(torch.rand(*lead, sum(layout.action_dims)))
    step = torch.zeros(lead, dtype=torch.int64)
    return Transitions(obs, action, torch.randn(lead), next_obs, flags, flags, step)


def test_an_agent_with_less_is_padded_with_zeros_at_the_end() -> None:
    joint = UNEQUAL.joint_obs(torch.tensor([[1.0, 2, 3, 4, 5]]))
    assert joint.tolist() == [[[1, 2, 0], [3, 4, 5]]]
    assert UNEQUAL.obs_mask().tolist() == [[True, True, False], [True, True, True]]
    assert UNEQUAL.action_mask().tolist() == [[True, False], [True, True]]
    assert UNEQUAL.joint_action(torch.tensor([6.0, 7, 8])).tolist() == [[6, 0], [7, 8]]


def test_flat_and_back_is_the_same() -> None:
    found = rows(3, 4)
    back = UNEQUAL.joint_rows(UNEQUAL.flat_rows(found))
    assert UNEQUAL.flat_rows(found).obs.shape == (3, 4, 5)
    for name in ("obs", "action", "next_obs", "reward"):
        assert torch.equal(getattr(back, name), getattr(found, name))


def test_rows_of_agents_know_their_sizes_and_join() -> None:
    found = rows(2, 5)
    assert (found.agents, found.obs_dim, found.action_dim, len(found)) == (2, 3, 2, 5)
    assert concatenate([found, found]).obs.shape == (2, 10, 2, 3)
    assert UNEQUAL.flat_rows(found).agents is None


def test_one_agent_with_and_without_its_axis() -> None:
    single = without_agent_axis(rows(4, layout=Layout((3,), (2,))))
    assert single.agents is None
    assert single.obs.shape == (4, 3)
    assert with_agent_axis(single).action.shape == (4, 1, 2)
    with pytest.raises(DataError, match="rows of 2 agents"):
        without_agent_axis(rows(4))


def test_a_layout_survives_a_file() -> None:
    named = Layout((2, 3), (1, 2), ("front", "back"))
    assert Layout.from_dict(named.as_dict()) == named
    assert UNEQUAL.names == ("agent_0", "agent_1")
    with pytest.raises(DataError, match="obs_dims, action_dims and names, got obs"):
        Layout.from_dict({"obs": [1]})


@pytest.mark.parametrize(
    ("obs", "action", "names", "message"),
    [
        ((2, 3), (1,), (), "obs_dims has 2, action_dims 1"),
        ((0,), (1,), (), "at least one"),
        ((), (), (), "at least"),
    ],
)
def test_impossible_layouts_are_refused(obs: tuple, action: tuple, names: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Layout(obs, action, names)


def test_other_shapes_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"obs ends in \(2, 2\); 2 agents of sizes \(2, 3\) need \(2, 3\)"):
        UNEQUAL.flat_obs(torch.zeros(4, 2, 2))
    with pytest.raises(DataError, match="action has 4 columns"):
        UNEQUAL.joint_action(torch.zeros(4))
    good = rows(3)
    with pytest.raises(DataError, match="obs of 2 agents, actions of 1"):
        Transitions(
            good.obs, good.action[:, :1], good.reward, good.next_obs, good.terminal, good.timeout, good.step
        )
    with pytest.raises(DataError, match="action: leading axes"):
        Transitions(
            good.obs, good.action[:, 0], good.reward, good.next_obs, good.terminal, good.timeout, good.step
        )
