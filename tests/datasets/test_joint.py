"""Data of several agents: arrays of every form, clear words for those that do not fit, files."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.datasets import from_joint_arrays, load
from mbrl.datasets.recording import as_recording, join
from mbrl.datasets.write_hdf5 import write_hdf5
from mbrl.run.envs import check_dims
from tests.datasets.recordings import stepped

LAYOUT = Layout((2, 3), (2, 1), ("left", "right"))
HOPPER = "mamujoco/Hopper-3x1-v1"


def arrays(rows=6):
    """One array an agent, with the last row of each three a timeout."""
    rng = np.random.default_rng(0)
    obs = [rng.normal(size=(rows, size)) for size in LAYOUT.obs_dims]
    action = [rng.uniform(-1, 1, (rows, size)) for size in LAYOUT.action_dims]
    next_obs = [rng.normal(size=(rows, size)) for size in LAYOUT.obs_dims]
    timeouts = np.arange(rows) % 3 == 2
    return obs, action, np.arange(rows), np.zeros(rows, bool), timeouts, next_obs


def padded(parts):
    width = max(p.shape[1] for p in parts)
    return np.stack([np.pad(p, ((0, 0), (0, width - p.shape[1]))) for p in parts], axis=1)


@pytest.fixture(scope="module")
def recording():
    return stepped(HOPPER, 40, dataset_id="test/mamujoco/Hopper-3x1-v1/random-v0")


def test_one_array_an_agent_or_one_padded():
    obs, action, reward, terminal, timeout, next_obs = arrays()
    first = from_joint_arrays(obs, action, reward, terminal, timeout, next_obs)
    assert first.layout == Layout((2, 3), (2, 1))
    second = from_joint_arrays(
        padded(obs), padded(action), reward, terminal, timeout, padded(next_obs), layout=LAYOUT
    )
    assert second.layout == LAYOUT
    for name in ("obs", "action", "next_obs", "reward", "timeout"):
        torch.testing.assert_close(
            getattr(first.transitions, name), getattr(second.transitions, name), rtol=0, atol=0
        )
    rows = first.transitions
    assert (rows.obs.shape, rows.action.shape, rows.reward.shape) == ((6, 2, 3), (6, 2, 2), (6,))
    np.testing.assert_array_equal(rows.obs[:, 0, :2], obs[0].astype(np.float32))
    np.testing.assert_array_equal(rows.action[:, 1, :1], action[1].astype(np.float32))
    assert not rows.obs[:, 0, 2].any()
    assert not rows.action[:, 1, 1].any()


def test_successors_without_next_observations_stay_in_their_episode():
    obs, action, reward, terminal, timeout, _ = arrays()
    data = from_joint_arrays(obs, action, reward, terminal, timeout)
    np.testing.assert_array_equal(data.transitions.next_obs[:, 1], obs[1][[1, 2, 4, 5]].astype(np.float32))
    assert data.episode.tolist() == [0, 0, 1, 1]


def test_summary_names_the_agents_and_the_id_their_lineage():
    obs, action, *rest = arrays()
    data = from_joint_arrays(padded(obs), padded(action), *rest[:3], layout=LAYOUT, lineage="mamujoco_v0")
    assert data.id == "local/mamujoco_v0/arrays"
    assert "agents       left (obs 2, action 2), right (obs 3, action 1)" in data.summary()
    unknown = from_joint_arrays(obs, action, *rest[:3], id="own/convoy")
    assert unknown.id == "own/unknown_lineage/convoy"
    assert "nobody says in which simulator" in unknown.summary()
    bound = from_joint_arrays(obs, action, *rest[:3], env=EnvSpec("mine:Convoy-v0"))
    assert bound.id == "local/Convoy-v0/arrays"


def spoilt(which, change):
    columns = list(arrays())
    columns[which] = change(columns[which])
    return columns


def nan(parts):
    parts[1][4, 2] = np.nan
    return parts


def rows(parts):
    return zip(*parts, strict=True)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (spoilt(0, nan), {}, "observations of agent 1, row 4, entry 2 is nan"),
        (spoilt(1, lambda a: [a[0], 3 * a[1]]), {}, r"actions row 3, column 2 is 2.34165, outside"),
        (spoilt(0, lambda o: [o[0].tolist(), [[1.0], [2.0, 3.0]] * 3]), {}, "of agent 1 is ragged .*unequal sizes"),
        (spoilt(0, lambda o: [[a.tolist(), b.tolist()] for a, b in rows(o)]), {}, "of agent 0 is ragged"),
        (spoilt(0, lambda o: np.array([*o, 0], dtype=object)[:2]), {}, "holds Python objects .*one array"),
        (spoilt(0, lambda o: o[0]), {}, r"observations has shape \(6, 2\); give one array \[B, size\] an agent"),
        (spoilt(0, lambda o: [o[0], o[1][:5]]), {}, r"has \[6, 5\] rows for its agents"),
        (spoilt(0, lambda o: [o[0], o[1][:, 0]]), {}, r"of agent 1, shaped \(6,\)"),
        (spoilt(0, lambda o: []), {}, "observations is an empty list"),
        (spoilt(0, lambda o: [o[0]]), {}, "obs_dims has 1, action_dims 2"),
        (spoilt(0, lambda o: [o[0]]), {"layout": LAYOUT}, r"agents of sizes \(2,\), the layout says \(2, 3\)"),
        (spoilt(5, lambda o: o[::-1]), {}, r"next_observations has agents of sizes \(3, 2\)"),
        (spoilt(0, padded), {}, "observations is 0 in all rows of agent 0, like padding; pass layout"),
        (spoilt(0, lambda o: padded(o)[..., :2]), {"layout": LAYOUT}, r"need \[B, 2, 3\], padded with zeros"),
        (spoilt(0, lambda o: padded(o) + 1), {"layout": LAYOUT}, "row 0 of agent 0 is not 0 after its 2 entries"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(columns, options, message):
    with pytest.raises(DataError, match=message):
        from_joint_arrays(*columns, **options)


def test_files_give_back_what_was_recorded(recording, tmp_path):
    assert recording.layout == Layout((8, 9, 8), (1, 1, 1))
    assert recording.record.observations.shape == (40, 25)
    data = load(write_hdf5(tmp_path / "hopper.hdf5", recording), verbose=False)
    assert data.id == "local/mamujoco_v1/test-mamujoco-Hopper-3x1-v1-random-v0"
    assert data.layout == recording.layout
    assert (data.obs_dim, data.action_dim, data.transitions.agents) == (9, 1, 3)
    flat, record = data.layout.flat_rows(data.transitions), recording.record
    np.testing.assert_array_equal(flat.obs, record.observations)
    np.testing.assert_array_equal(flat.next_obs, record.next_observations)
    np.testing.assert_array_equal(flat.action, record.actions)
    np.testing.assert_array_equal(flat.reward, record.rewards)
    np.testing.assert_array_equal(flat.sim_state, np.hstack([record.qpos, record.qvel]))
    check_dims(data.env, data.obs_dim, data.action_dim, data.layout)


def test_an_npz_file_may_name_agents_too(recording, tmp_path):
    record = recording.record
    columns = {k: getattr(record, k) for k in ("observations", "actions", "rewards", "terminals", "timeouts")}
    path = tmp_path / "a.npz"
    np.savez(path, **columns, agents=json.dumps(recording.layout.as_dict()), env_id=HOPPER)
    data = load(path, verbose=False)
    assert (data.id, data.layout) == ("local/mamujoco_v1/a", recording.layout)


def test_no_simulator_state_that_the_agents_do_not_see(recording, tmp_path):
    wrong = recording.record.qvel.copy()
    wrong[7, 4] += 1.0
    path = write_hdf5(tmp_path / "a.hdf5", replace(recording, record=replace(recording.record, qvel=wrong)))
    data = load(path, verbose=False)
    assert data.transitions.sim_state is None
    assert r"no agent sees qpos [0] or qvel [4]" in data.summary()


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ("[1, 2]", "no layout of agents"),
        ("{", "no layout of agents"),
        ('{"obs_dims": [8, 9, 8]}', "expected obs_dims, action_dims and names, got obs_dims"),
        ('{"obs_dims": [8, 9], "action_dims": [1, 1, 1]}', "one size an agent"),
        ('{"obs_dims": [8, 9, 9], "action_dims": [1, 1, 1]}', "observations has 25 columns; .* need 26"),
        ('{"obs_dims": [8, 9, 8], "action_dims": [1, 2, 1]}', "actions has 3 columns; .* need 4"),
    ],
)
def test_files_with_another_layout(recording, tmp_path, agents, message):
    path = write_hdf5(tmp_path / "a.hdf5", recording)
    with h5py.File(path, "a") as file:
        file.attrs["agents"] = agents
    with pytest.raises(DataError, match=message):
        load(path, verbose=False)


def test_a_file_is_bound_to_its_own_environment_alone(recording, tmp_path):
    path = write_hdf5(tmp_path / "a.hdf5", recording)
    for env, message in (("Hopper-v5", "mamujoco_v1"), ("game/TwinPeaks-v0", "one-step games")):
        with pytest.raises(MismatchError, match=message):
            load(path, env=EnvSpec(env), verbose=False)


def test_joining_recordings_of_other_layouts(recording):
    twice = join([recording, recording], "test/mamujoco/both-v0")
    assert (len(twice), twice.layout) == (80, recording.layout)
    with pytest.raises(DataError, match="parts come from"):
        join([recording, replace(recording, layout=Layout((25,), (3,)))], "x")


def test_arrays_of_ones_own_as_a_file(tmp_path):
    """Without next_observations two rows are lost at timeouts; the episodes stay apart all the same."""
    obs, action, reward, terminal, timeout, _ = arrays()
    own = {"env": EnvSpec("mine:Convoy-v0", {"cars": 2}), "layout": Layout((2, 3), (2, 1), ("left", "right"))}
    data = from_joint_arrays(obs, action, reward, terminal, timeout, **own)
    path = write_hdf5(tmp_path / "own.hdf5", as_recording(data, "mine/convoy-v0"))
    again = load(path, verbose=False)
    assert again.id == "local/Convoy-v0/mine-convoy-v0"
    assert (again.env, again.layout) == (data.env, data.layout)
    for name in ("obs", "action", "reward", "next_obs", "terminal"):
        torch.testing.assert_close(
            getattr(again.transitions, name), getattr(data.transitions, name), rtol=0, atol=0
        )
    assert again.episode.tolist() == data.episode.tolist()


def test_datasets_that_no_file_can_hold():
    obs, action, reward, _, timeout, _ = arrays()
    unbound = from_joint_arrays(obs, action, reward, np.zeros(6), timeout)
    with pytest.raises(DataError, match="load the data with env=EnvSpec"):
        as_recording(unbound, "x/y")
    cut = from_joint_arrays(obs, action, reward, timeout, np.zeros(6), env=EnvSpec("mine:Convoy-v0"))
    with pytest.raises(DataError, match="2 terminal rows have no successor"):
        as_recording(cut, "x/y")
