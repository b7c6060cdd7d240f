"""Kinds of dataset: which rows, of which policy, under which name."""

import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.run.collect import KINDS, Collector, record
from mbrl.run.envs import current_versions
from mbrl.run.online import OnlineRun, Snapshot
from mbrl.run.replay import Replay

ENV = EnvSpec("InvertedDoublePendulum-v5")


class Constant:
    """Acts with one number, which is its whole state; counts the episodes it is told of."""

    resets = 0

    def __init__(self, value=0.0):
        self.value = torch.full((1,), value)

    def reset(self):
        self.resets += 1

    def act(self, obs, streams=None):
        noise = 0 if streams is None else 0.01 * streams.randn(obs.shape[-2], 1)
        return (self.value + noise) * torch.ones(*obs.shape[:-1], 1)

    def update(self, batch, streams):
        self.value -= 0.01
        return {}

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value.copy_(state["value"])


@pytest.fixture(scope="module")
def collector():
    made = Collector(ENV, 30, seed=3, sampled=False, medium_step=50, show=False)
    made.learn(Constant(), steps=80, warmup=30, batch_size=4, snapshots=2, episodes=1)
    return made


def test_kinds_by_name(collector):
    recordings = {kind: make(collector) for kind, make in KINDS.items()}
    for kind, recording in recordings.items():
        assert recording.dataset_id == f"collected/InvertedDoublePendulum-v5/{kind}-v0"
        assert recording.env == EnvSpec(ENV.id, {}, current_versions())
        assert recording.seed == 3
        last = recording.record
        assert last.terminals[-1] or last.timeouts[-1]
    lengths = {kind: len(r) for kind, r in recordings.items()}
    expected = {"random": 30, "medium": 30, "medium-replay": 50, "medium-expert": 60, "expert": 30}
    assert lengths == expected


def test_policies_act_as_they_did_at_their_step(collector):
    assert np.unique(collector.medium().record.actions).tolist() == pytest.approx([-0.2])  # 20 updates
    assert np.unique(collector.expert().record.actions).tolist() == pytest.approx([-0.5])  # 50
    assert "after 50 online steps, deterministic" in collector.medium().behaviour


def test_medium_replay_is_the_beginning_of_learning(collector):
    got, rows = collector.medium_replay().record, collector.run.replay.arrays
    np.testing.assert_array_equal(got.observations, rows["obs"][:50])
    np.testing.assert_array_equal(got.actions, rows["action"][:50])
    np.testing.assert_array_equal(np.hstack([got.qpos, got.qvel]), rows["sim_state"][:50])


def test_medium_expert_is_both(collector):
    both = collector.medium_expert().record
    np.testing.assert_array_equal(both.observations[:30], collector.medium().record.observations)
    np.testing.assert_array_equal(both.observations[30:], collector.expert().record.observations)
    assert both.terminals[29] or both.timeouts[29]


def test_blocks_start_in_different_states(collector):
    starts = [
        make(collector).record.observations[0].tolist() for make in (Collector.medium, Collector.expert)
    ]
    assert starts[0] != starts[1]


def test_medium_by_fraction():
    made = Collector(ENV, 5, medium_fraction=0.5, show=False)
    replay = Replay(ENV, 9, seed=0, purpose="x")
    for _ in range(9):
        replay.step(np.float32([0.1]))
    stages = [Snapshot(step, mean_return, {}) for step, mean_return in ((2, 4.0), (4, 5.0), (9, 10.0))]
    made.run = OnlineRun(Constant(), replay, stages, random_return=0.0)
    assert len(made.medium_replay()) == 4


def test_only_random_does_without_learning():
    made = Collector(ENV, 8, show=False)
    assert len(KINDS["random"](made)) == 8
    for kind in KINDS.keys() - {"random"}:
        with pytest.raises(ConfigError, match="call learn first"):
            KINDS[kind](made)


def test_impossible_collections_are_refused_at_once():
    with pytest.raises(ConfigError, match="at least 1"):
        Collector(ENV, 0)
    with pytest.raises(ConfigError, match="did you mean"):
        Collector(EnvSpec("InvertedDublePendulum-v5"), 5)


def test_record_resets_a_policy_each_episode_and_samples_on_request():
    policy = Constant(0.3)

    def actions(sampled, seed=0):
        options = {"behaviour": "x", "dataset_id": "x", "show": False}
        return record(policy, ENV, 40, seed=seed, sampled=sampled, **options)

    fixed = actions(False)
    assert policy.resets == len(fixed.episodes())
    assert np.unique(fixed.record.actions).size == 1
    one, again, other = actions(True), actions(True), actions(True, seed=1)
    assert np.unique(one.record.actions).size == 40
    np.testing.assert_array_equal(one.record.observations, again.record.observations)
    assert not np.array_equal(one.record.observations, other.record.observations)
