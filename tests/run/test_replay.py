"""The recorder: rows, borders, caps, simulator state."""

import gymnasium
import numpy as np
import pytest

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import Streams
from mbrl.core.types import EnvSpec
from mbrl.run.envs import make_env, set_sim_state
from mbrl.run.replay import Replay
from tests.datasets.recordings import stepped

PLAIN = EnvSpec("PlainTest-v0")


@pytest.fixture(autouse=True)
def _registered():
    gymnasium.register("PlainTest-v0", entry_point="tests.run.plain:Plain")
    yield
    del gymnasium.registry["PlainTest-v0"]


@pytest.mark.parametrize("env_id", ["InvertedDoublePendulum-v5", "Hopper-v5", "HalfCheetah-v5"])
def test_the_recorded_state_and_action_replay_the_row(env_id):
    record = stepped(env_id, 40).record
    env = make_env(EnvSpec(env_id))
    env.reset(seed=5)
    for i in range(40):
        set_sim_state(env, np.concatenate([record.qpos[i], record.qvel[i]]))
        obs, reward, terminal, _, _ = env.step(record.actions[i])
        np.testing.assert_allclose(obs, record.next_observations[i], rtol=1e-5, atol=1e-5)
        assert reward == pytest.approx(record.rewards[i], rel=1e-5, abs=1e-5)
        assert terminal == record.terminals[i]


def test_the_state_after_a_row_is_the_state_before_the_next():
    recording = stepped("Hopper-v5", 60)
    inside = np.flatnonzero(~(recording.record.terminals | recording.record.timeouts))
    np.testing.assert_array_equal(recording.next_qpos[inside], recording.record.qpos[inside + 1])
    np.testing.assert_array_equal(recording.next_qvel[inside], recording.record.qvel[inside + 1])


def test_rows_are_copies_and_episodes_join_up():
    replay = Replay(PLAIN, 20, seed=0, purpose="x")
    ended = [replay.step(np.float32([1.0])) for _ in range(20)]
    record = replay.recording("pushes", "x").record
    assert ended[:-1] == list(record.terminals)[:-1]
    np.testing.assert_allclose(
        record.next_observations, record.observations + np.float32([0.3, 1]), rtol=1e-6
    )
    inside = np.flatnonzero(~(record.terminals | record.timeouts))
    np.testing.assert_array_equal(record.next_observations[inside], record.observations[inside + 1])
    assert (record.observations[1:][record.terminals[:-1], 1] == 0).all()
    assert (
        len(set(record.observations[record.observations[:, 1] == 0, 0])) == replay.episodes - 1 or ended[-1]
    )


def test_never_ending_environments_time_out():
    replay = Replay(EnvSpec("PlainTest-v0", {"endless": True}), 2500, seed=0, purpose="x")
    for _ in range(2500):
        replay.step(np.float32([0.0]))
    record = replay.recording("rests", "x").record
    assert np.flatnonzero(record.timeouts).tolist() == [999, 1999, 2499]
    assert not record.terminals.any()


def test_the_environments_own_limit_is_a_timeout():
    spec = EnvSpec("PlainTest-v0", {"endless": True, "max_episode_steps": 4})
    replay = Replay(spec, 10, seed=0, purpose="x")
    for _ in range(10):
        replay.step(np.float32([0.0]))
    assert np.flatnonzero(replay.recording("rests", "x").record.timeouts).tolist() == [3, 7, 9]


def test_a_terminal_at_the_limit_is_no_timeout():
    """Pushed by 0.3 a step the point leaves at its fourth step, which is also the last one allowed."""
    replay = Replay(EnvSpec("PlainTest-v0", {"max_episode_steps": 4}), 8, seed=0, purpose="x")
    for _ in range(8):
        replay.step(np.float32([1.0]))
    record = replay.recording("pushes", "x").record
    assert np.flatnonzero(record.terminals).tolist() == [3, 7]
    assert not record.timeouts.any()


def test_a_cut_marks_its_last_row_and_leaves_the_rest():
    replay = Replay(EnvSpec("PlainTest-v0", {"endless": True}), 10, seed=0, purpose="x")
    for _ in range(10):
        replay.step(np.float32([0.1]))
    assert np.flatnonzero(replay.recording("x", "x", rows=6).record.timeouts).tolist() == [5]
    assert np.flatnonzero(replay.recording("x", "x").record.timeouts).tolist() == [9]


def test_the_recorded_action_is_the_clipped_one():
    replay = Replay(EnvSpec("HalfCheetah-v5"), 1, seed=0, purpose="x")
    replay.step(np.full(6, 5.0))
    record = replay.recording("x", "x").record
    env = make_env(EnvSpec("HalfCheetah-v5"))
    env.reset(seed=1)
    set_sim_state(env, np.concatenate([record.qpos[0], record.qvel[0]]))
    np.testing.assert_array_equal(record.actions, np.ones((1, 6)))
    assert env.step(record.actions[0])[1] == pytest.approx(record.rewards[0], rel=1e-5)


def test_samples_are_rows():
    replay = Replay(PLAIN, 30, seed=0, purpose="x")
    for i in range(12):
        replay.step(np.float32([np.sin(i)]))
    batch = replay.sample(200, Streams([0], "s"))
    assert batch.obs.shape == (1, 200, 2)
    seen = {tuple(row) for row in replay.arrays["obs"][:12]}
    assert {tuple(row) for row in batch.obs[0].numpy()} == seen
    np.testing.assert_allclose(
        batch.next_obs[..., 0], batch.obs[..., 0] + 0.3 * batch.action[..., 0], atol=1e-6
    )


def test_seed_and_purpose_give_the_start_states():
    def starts(seed, purpose):
        return Replay(PLAIN, 1, seed=seed, purpose=purpose).obs[0]

    assert starts(0, "a") == starts(0, "a")
    assert len({starts(0, "a"), starts(1, "a"), starts(0, "b")}) == 3


def test_bad_actions_and_capacities():
    with pytest.raises(DivergenceError, match="at step 0"):
        Replay(PLAIN, 5, seed=0, purpose="x").step(np.float32([np.nan]))
    with pytest.raises(ConfigError, match="at least 1"):
        Replay(PLAIN, 0, seed=0, purpose="x")
