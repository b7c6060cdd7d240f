"""The slices of members that have diverged are put back, and nothing else is."""

import pytest
import torch

from mbrl.core.seeds import Streams
from mbrl.core.types import ValuedPolicy
from mbrl.run.frozen import Frozen
from tests.run.poison import nan_policy
from tests.run.small_run import (
    make_agent,
)

SEEDS = (4, 0, 7)
LEFT = [0, 2]


class Part:
    """A state of which two tensors are its members' and two are shared."""

    def __init__(self, live: bool = True) -> None:
        self.live, self.asked = live, 0
        self.state = {
            "w": torch.arange(6.0).view(3, 2),
            "inner": {"m": torch.ones(3)},
            "step": torch.tensor(9.0),
        }
        self.state["shared"] = torch.arange(4.0)

    def state_dict(self):
        self.asked += 1
        return self.state if self.live else {**self.state, "w": self.state["w"].clone()}

    def load_state_dict(self, state):
        self.state = state


def tree_of(part):
    return {"part": {"w": -part.state["w"], "step": torch.tensor(1.0), "shared": torch.zeros(4)}}


@pytest.mark.parametrize("live", [True, False])
def test_the_slices_of_frozen_members_are_put_back_and_nothing_else(live):
    part = Part(live)
    frozen = Frozen(3, {"part": part})
    frozen.add({1: {"update": 5, "diagnosis": "why"}}, tree_of(part))
    for _ in range(3):
        assert part.state["w"].tolist() == [[0, 1], [-2, -3], [4, 5]]
        assert part.state["inner"]["m"].tolist() == [
            1,
            0,
            1,
        ]  # not in the checkpoint: as before its first step
        assert part.state["step"].item() == 9
        assert part.state["shared"].tolist() == [0, 1, 2, 3]
        part.state["w"][1] = torch.nan
        part.state["inner"]["m"][1] += 1
        frozen.put_back("part")
    assert frozen.ends == {1: {"update": 5, "diagnosis": "why"}}


def test_what_is_live_is_changed_in_place():
    part = Part()
    weight = part.state["w"]
    Frozen(3, {"part": part}).add({2: {}}, tree_of(part))
    assert part.state["w"] is weight


def test_nothing_is_read_or_written_while_none_is_frozen():
    part = Part()
    frozen = Frozen(3, {"part": part})
    frozen.put_back("part")
    frozen.put_back("no such part")
    assert part.asked == 0


def test_members_may_freeze_one_after_the_other_each_at_a_checkpoint_of_its_own():
    part = Part()
    frozen = Frozen(3, {"part": part})
    frozen.add({1: {}}, {"part": {"w": torch.full((3, 2), 10.0)}})
    frozen.add({0: {}}, {"part": {"w": torch.full((3, 2), 20.0)}})
    part.state["w"].zero_()
    frozen.put_back("part")
    assert part.state["w"][:, 0].tolist() == [20, 10, 0]


def test_only_what_is_put_back_is_kept():
    part = Part()
    frozen = Frozen(3, {"part": part})
    frozen.add(
        {1: {}}, {**tree_of(part), "particle": {"w": torch.ones(3)}, "buffer": {"rows": torch.ones(3, 100)}}
    )
    assert frozen.kept[1].keys() == {"part/w"}


def test_frozen_members_act_with_zeros_when_they_are_looked_at():
    agent, frozen = make_agent(seeds=SEEDS), Frozen(3, {})
    assert frozen.at_rest(agent) is agent
    frozen.ends[1] = {}
    quiet, obs = frozen.at_rest(agent), torch.randn(3, 4, 3)
    nan_policy()(agent, None)
    assert torch.equal(quiet.act(obs)[LEFT], agent.act(obs)[LEFT])
    assert not quiet.act(obs)[1].any()
    drawn, expected = (x.act(obs, Streams(SEEDS, "a")) for x in (quiet, agent))
    assert torch.equal(drawn[LEFT], expected[LEFT])
    assert quiet.device == agent.device
    assert isinstance(quiet, ValuedPolicy)
    assert torch.equal(quiet.values(obs)[LEFT], agent.values(obs)[LEFT])
