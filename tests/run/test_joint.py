"""Sources made of sources: a model of the joint world under a joint policy, and several sources side by side."""

import pytest
import torch

from mbrl.core.checkpoint import load_tree, save_tree
from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.run.experience import MixedData
from mbrl.run.joint import FlatPolicy, JointSource, SideBySide
from mbrl.run.pjap import PJAP
from mbrl.run.sources import ModelRollouts
from tests.fakes import Towards, Walk, joint_transitions, random_transitions

LAYOUT = Layout((2, 3), (1, 2))
SEEDS = (0, 1)


class Half:
    """Every agent's action is half of the first entries of its own observation; counts the agents it sees."""

    def act(self, obs, streams=None):
        assert obs.shape[-2:] == (2, 3)
        return LAYOUT.action_mask() * obs[..., :2] / 2


def test_every_agent_of_a_flat_policy_acts_on_its_own_share():
    obs = torch.tensor([[[1.0, 2, 3, 4, 5]]])
    assert FlatPolicy(Half(), LAYOUT).act(obs).tolist() == [[[0.5, 1.5, 2.0]]]


def test_a_model_of_the_joint_world_gives_joint_rows():
    data = joint_transitions(LAYOUT, 40)
    rollouts = ModelRollouts(Walk(5, 3), LAYOUT.flat_rows(data), horizon=2)
    rows, alive = JointSource(rollouts, LAYOUT).draw(Half(), 10, Streams(SEEDS, "j"))
    assert rows.obs.shape == (2, 20, 2, 3)
    assert alive.all()
    action = LAYOUT.flat_action(Half().act(rows.obs))
    assert torch.equal(LAYOUT.flat_action(rows.action), action)
    moved = LAYOUT.flat_obs(rows.obs)
    moved[..., :3] += action
    assert torch.equal(LAYOUT.flat_obs(rows.next_obs), moved)
    assert (rows.obs[:, :, 0, 2] == 0).all()


def test_sources_side_by_side_share_a_refresh():
    data = random_transitions(40)
    sources = {"pjap": PJAP(data), "rollout": ModelRollouts(Walk(), data, horizon=3)}
    both = SideBySide(sources)
    rows, alive = both.draw(Towards(), 10, Streams(SEEDS, "s"))
    assert (both.horizon, rows.reward.shape, alive.shape) == (4, (2, 40), (2, 40))
    first, _ = sources["pjap"].draw(Towards(), 10, Streams(SEEDS, "s"))
    assert torch.equal(rows.obs[:, :10], first.obs)
    assert rows.step[0].bincount().tolist() == [0, 20, 10, 10]
    assert both.metrics().keys() == {f"source/pjap_{name}_distance" for name in ("action", "data", "drawn")}
    experience = MixedData(data, both, batch_size=16, starts=10, retain=1)
    assert experience.refresh(Towards(), Streams(SEEDS, "r"))["source/alive"].tolist() == [1, 1]


class Counting(PJAP):
    """With a state, and members that it loses."""

    draws = 0

    @property
    def diverged(self):
        return {1: "lost"}

    def draw(self, policy, n, streams):
        self.draws += 1
        return super().draw(policy, n, streams)

    def state_dict(self):
        return {"draws": torch.tensor(self.draws)}

    def load_state_dict(self, state):
        self.draws = int(state["draws"])


def test_what_one_of_them_keeps_or_loses_is_kept_and_told(tmp_path):
    data = random_transitions(40)

    def both():
        return SideBySide({"a": Counting(data), "b": PJAP(data)})

    one, other = both(), both()
    for _ in range(3):
        one.draw(Towards(), 5, Streams(SEEDS, "s"))
    assert one.diverged == {1: "lost"}
    save_tree(tmp_path / "c", one.state_dict(), {})
    other.load_state_dict(load_tree(tmp_path / "c")[0])
    assert other.sources["a"].draws == 3


class Fresh(Counting):
    """Whose state is empty until its first draw."""

    def state_dict(self):
        return {"draws": torch.tensor(self.draws)} if self.draws else {}

    def load_state_dict(self, state):
        self.draws = int(state.get("draws", 0))


def test_a_source_without_a_state_yet_leaves_no_trace_and_needs_none(tmp_path):
    data = random_transitions(40)
    one, other = (SideBySide({"a": Fresh(data), "b": PJAP(data)}) for _ in range(2))
    other.sources["a"].draws = 5
    save_tree(tmp_path / "c", one.state_dict(), {})
    other.load_state_dict(load_tree(tmp_path / "c")[0])
    assert other.sources["a"].draws == 0


def test_no_source_at_all_is_refused():
    with pytest.raises(ConfigError, match="none was given"):
        SideBySide({})
