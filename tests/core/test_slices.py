"""What leads with the stack's length is its members'; all else is shared."""

import pytest
import torch

from mbrl.agents import AGENTS
from mbrl.core.checkpoint import flatten
from mbrl.core.slices import is_stacked, stacked


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3,), True), ((3, 2), True), ((2, 3), False), ((), False), ((1, 3), False), ((0,), False)],
)
def test_the_leading_axis_decides(shape, expected):
    assert is_stacked(torch.zeros(shape), 3) is expected


def test_a_flat_state_is_sifted():
    flat = {"w": torch.zeros(3, 2), "step": torch.zeros(()), "shared": torch.zeros(4)}
    found = stacked(flat, 3)
    assert list(found) == ["w"]
    assert found["w"] is flat["w"]


@pytest.mark.parametrize("name", AGENTS)
def test_in_every_agent_all_but_step_counts_are_the_members(name):
    seeds = tuple(range(13))  # no other axis is as long
    flat = flatten(AGENTS[name](3, 2, seeds=seeds, hidden=(8,)).state_dict())
    shared = flat.keys() - stacked(flat, 13).keys()
    assert all(key.endswith("/step") for key in shared)
    assert stacked(flat, 13)
