"""Minari datasets: what is written is what Minari and our loader read, in both storages."""

import os

import gymnasium
import minari
import numpy as np
import pytest

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.datasets import load
from mbrl.datasets.write_minari import check_minari, write_minari
from mbrl.run.envs import make_native
from tests.datasets.recordings import stepped

ID = "test/Hopper-v5/random-v0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def recording():
    return stepped()


@pytest.fixture(scope="module")
def hopper():
    return make_native(EnvSpec("Hopper-v5"))


@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_round_trip(root, recording, hopper, data_format):
    write_minari(recording, hopper, data_format=data_format)
    data = load(f"minari/{ID}", verbose=False)
    record, t = recording.record, data.transitions
    np.testing.assert_array_equal(t.obs.numpy(), record.observations)
    np.testing.assert_array_equal(t.next_obs.numpy(), record.next_observations)
    np.testing.assert_array_equal(t.action.numpy(), record.actions)
    np.testing.assert_array_equal(t.reward.numpy(), record.rewards)
    np.testing.assert_array_equal(t.terminal.numpy(), record.terminals)
    np.testing.assert_array_equal(t.timeout.numpy(), record.timeouts)
    np.testing.assert_array_equal(t.sim_state.numpy(), np.hstack([record.qpos, record.qvel]))
    assert data.env.id == "Hopper-v5"
    assert data.env.versions["mujoco"] == recording.env.versions["mujoco"]
    assert data.behaviour == "uniform random actions"


def test_minari_itself_reads_it(root, recording, hopper):
    write_minari(recording, hopper)
    assert list(minari.list_local_datasets()) == [ID]
    dataset = minari.load_dataset(ID)
    assert dataset.total_steps == 64
    episode = dataset[0]
    rows = recording.episodes()[0]
    assert len(episode.observations) == rows.stop + 1
    assert episode.observations.dtype == np.float64
    assert len(episode.infos["qpos"]) == rows.stop + 1
    np.testing.assert_array_equal(episode.infos["qpos"][-1], recording.next_qpos[rows.stop - 1])
    recovered = dataset.recover_environment()
    assert recovered.spec.id == "Hopper-v5"
    recovered.close()


def test_actions_are_stored_in_the_environments_scale(root):
    recording = stepped("InvertedPendulum-v5", 20, dataset_id="test/pendulum-v0", reset_noise_scale=0.02)
    env = make_native(recording.env)
    write_minari(recording, env)
    stored = np.concatenate([e.actions for e in minari.load_dataset("test/pendulum-v0").iterate_episodes()])
    np.testing.assert_allclose(stored, 3 * recording.record.actions, rtol=1e-6)
    assert np.abs(stored).max() > 1
    data = load("minari/test/pendulum-v0", verbose=False)
    np.testing.assert_allclose(data.transitions.action.numpy(), recording.record.actions, atol=1e-6)
    assert data.env.kwargs["reset_noise_scale"] == 0.02


def test_nothing_is_overwritten_unasked(root, recording, hopper):
    write_minari(recording, hopper)
    with pytest.raises(ConfigError, match="exists"):
        write_minari(recording, hopper)
    shorter = stepped(steps=30)
    write_minari(shorter, hopper, overwrite=True)
    assert minari.load_dataset(ID).total_steps == 30


def test_a_failed_write_leaves_nothing_and_no_setting_behind(tmp_path, recording, hopper, monkeypatch):
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(minari, "create_dataset_from_buffers", fail)
    with pytest.raises(KeyboardInterrupt):
        write_minari(recording, hopper, root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "MINARI_DATASETS_PATH" not in os.environ


def test_unusable_targets(root):
    for bad in ("no version", "../../escape-v0", "a//b-v0"):
        with pytest.raises(ConfigError, match="no Minari id"):
            check_minari(bad)
    with pytest.raises(ConfigError, match="parquet"):
        check_minari(ID, data_format="parquet")
    (root / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        check_minari(ID, root=root / "file")


def test_environments_without_a_simulator(root):
    gymnasium.register("PlainTest-v0", entry_point="tests.run.plain:Plain")
    try:
        recording = stepped("PlainTest-v0", 12, dataset_id="test/plain-v0")
        write_minari(recording, make_native(recording.env))
        assert load("minari/test/plain-v0", verbose=False).transitions.sim_state is None
    finally:
        del gymnasium.registry["PlainTest-v0"]
