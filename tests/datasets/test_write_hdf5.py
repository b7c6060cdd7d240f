"""HDF5 files: what is written is read back, whole or not at all."""

import json

import h5py
import numpy as np
import pytest

from mbrl.core.errors import ConfigError
from mbrl.datasets import load
from mbrl.datasets.write_hdf5 import check_file, check_folder, write_hdf5
from tests.datasets.recordings import stepped


@pytest.fixture(scope="module")
def recording():
    return stepped()


def test_round_trip(recording, tmp_path):
    data = load(write_hdf5(tmp_path / "deep" / "a.hdf5", recording), verbose=False)
    record, t = recording.record, data.transitions
    assert len(data) == len(record) == 64
    np.testing.assert_array_equal(t.obs.numpy(), record.observations)
    np.testing.assert_array_equal(t.next_obs.numpy(), record.next_observations)
    np.testing.assert_array_equal(t.action.numpy(), record.actions)
    np.testing.assert_array_equal(t.reward.numpy(), record.rewards)
    np.testing.assert_array_equal(t.terminal.numpy(), record.terminals)
    np.testing.assert_array_equal(t.timeout.numpy(), record.timeouts)
    np.testing.assert_array_equal(t.sim_state.numpy(), np.hstack([record.qpos, record.qvel]))
    assert record.terminals.any()
    assert record.timeouts[-1]
    assert (data.env.id, dict(data.env.kwargs)) == ("Hopper-v5", {})
    assert data.env.versions == recording.env.versions
    assert data.behaviour == "uniform random actions"
    assert data.stats.episodes == len(recording.episodes())


def test_layout_of_the_file(recording, tmp_path):
    with h5py.File(write_hdf5(tmp_path / "a.hdf5", recording)) as file:
        kinds = {
            "observations": "f4",
            "rewards": "f4",
            "terminals": "?",
            "infos/qpos": "f8",
            "infos/qvel": "f8",
        }
        assert {key: file[key].dtype.str.lstrip("<|").replace("b1", "?") for key in kinds} == kinds
        assert file["observations"].compression == "gzip"
        assert json.loads(file.attrs["versions"])["mujoco"] == recording.env.versions["mujoco"]
        assert file.attrs["seed"] == 0
        assert file.attrs["dataset_id"] == "test/Hopper-v5/random-v0"


def test_without_next_observations_only_ends_lose_their_successor(recording, tmp_path):
    full = load(write_hdf5(tmp_path / "a.hdf5", recording), verbose=False)
    data = load(write_hdf5(tmp_path / "b.hdf5", recording, next_observations=False), verbose=False)
    timeouts = int(recording.record.timeouts.sum())
    assert len(data) == len(full) - timeouts
    known = full.transitions[~full.transitions.timeout]
    inside = data.successor_known
    np.testing.assert_array_equal(inside.numpy(), ~known.terminal.numpy())
    np.testing.assert_array_equal(data.transitions.next_obs[inside].numpy(), known.next_obs[inside].numpy())


def test_the_same_recording_gives_the_same_bytes(recording, tmp_path):
    one, two = (write_hdf5(tmp_path / name, recording).read_bytes() for name in ("a.hdf5", "b.hdf5"))
    assert one == two


def test_nothing_is_overwritten_unasked(recording, tmp_path):
    path = tmp_path / "a.hdf5"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists already"):
        write_hdf5(path, recording)
    assert path.read_text() == "precious"
    write_hdf5(path, recording, overwrite=True)
    assert h5py.is_hdf5(path)


def test_an_interrupted_write_leaves_nothing(recording, tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("mbrl.datasets.write_hdf5._write_attributes", fail)
    with pytest.raises(KeyboardInterrupt):
        write_hdf5(tmp_path / "a.hdf5", recording)
    assert list(tmp_path.iterdir()) == []


def test_unusable_targets(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to the folder .*file"):
        check_folder(tmp_path / "file" / "below")
    with pytest.raises(ConfigError, match="is a folder"):
        check_file(tmp_path, overwrite=True)
