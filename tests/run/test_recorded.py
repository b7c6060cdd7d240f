"""Joint data: a single-agent policy split by joints, random teams, the agent of a run."""

import numpy as np
import pytest
import torch

from mbrl.conf import compose
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import EnvSpec
from mbrl.datasets.write_hdf5 import write_hdf5
from mbrl.run.behaviour import Noisy, Uniform
from mbrl.run.build import train_from_config
from mbrl.run.build.agent import agent_from_config
from mbrl.run.build.points import run_config
from mbrl.run.build.recorded import Member, dataset_names, policies_recording, run_recording
from mbrl.run.collect import Collector, record
from mbrl.run.envs import make_env, set_sim_state
from mbrl.run.outputs import Outputs

HOPPER, HUMANOID = EnvSpec("mamujoco/Hopper-3x1-v1"), EnvSpec("mamujoco/Humanoid-9_8-v1")
WALKER = EnvSpec("mamujoco/Walker2d-2x3-v1")


@pytest.fixture
def npz(tmp_path):
    """Writes a policy file that reads the whole observation: action = tanh of a fixed random map."""

    def write(name, obs_dim, action_dim):
        weights = np.random.default_rng(len(name)).normal(size=(action_dim, obs_dim)) / 3
        names = {"hidden": np.array("tanh"), "out": np.array("tanh"), "time_feature": np.array(False)}
        scale = {"obs_mean": np.zeros(obs_dim), "obs_scale": np.ones(obs_dim), "obs_clip": np.array(np.inf)}
        path = tmp_path / f"{name}.npz"
        np.savez(path, W0=weights, b0=np.zeros(action_dim), **names, **scale)
        return path, weights

    return write


def test_a_split_policy_sees_the_whole_robot_and_moves_it_as_one_agent_would(npz):
    """Row by row through the simulator: Walker2d, where the agents' observations would not do."""
    path, weights = npz("half", 17, 6)
    collector = Collector(WALKER, 60, show=False)
    assert (collector.dims, collector.whole, collector.layout.agents) == ((12, 3), (17, 6), 2)
    recording = policies_recording(collector, [path], noise=0.0)
    alone, team = make_env(EnvSpec("Walker2d-v5")), make_env(WALKER).unwrapped
    alone.reset(seed=0)
    rows = recording.record
    for i in range(len(recording)):
        set_sim_state(alone, np.concatenate([rows.qpos[i], rows.qvel[i]]))
        seen = alone.unwrapped._get_obs()
        action = np.tanh(weights @ seen.astype(np.float32).astype(np.float64)).astype(np.float32)
        flat = team.layout.flat_action(torch.from_numpy(team.split_action(action)))
        np.testing.assert_allclose(rows.actions[i], flat, atol=1e-6)
        _, reward, terminal, _, _ = alone.step(action)
        assert rows.rewards[i] == pytest.approx(reward, abs=1e-4)
        assert rows.terminals[i] == terminal
    # Joints in the order of the agents' parts is not the robot's own order.
    assert [m.tolist() for m in team.moved] == [[2, 1, 0], [5, 4, 3]]


def test_several_policies_one_after_another(npz):
    paths = [npz("first", 11, 3)[0], npz("second", 11, 3)[0]]
    recording = policies_recording(Collector(HOPPER, 20, show=False), paths, noise=0.3, name="mix")
    assert recording.dataset_id == "collected/mamujoco/Hopper-3x1-v1/mix-v0"
    assert recording.behaviour == "first.npz, noise 0.3; then second.npz, noise 0.3"
    assert (len(recording), recording.layout.agents) == (40, 3)
    again = policies_recording(Collector(HOPPER, 20, show=False), paths, noise=0.3, name="mix")
    np.testing.assert_array_equal(recording.record.actions, again.record.actions)
    other = policies_recording(Collector(HOPPER, 20, seed=1, show=False), paths, noise=0.3, name="mix")
    assert (recording.record.observations[0] != other.record.observations[0]).any()
    assert (recording.record.observations[0] != recording.record.observations[20]).any()


def test_random_teams_and_noise_leave_the_padding_alone():
    recording = Collector(HUMANOID, 15, show=False).random()
    assert recording.record.actions.shape == (15, 17)
    assert np.abs(recording.record.actions).min() > 0
    assert {"mujoco", "gymnasium", "gymnasium-robotics"} <= set(recording.env.versions)
    layout = Layout((2, 2), (2, 1))
    obs = torch.zeros(1, 50, 2, 2)
    noisy = Noisy(Uniform(2, Streams([0], "a"), layout), 0.5, layout).act(obs, Streams([0], "b"))
    assert noisy.shape == (1, 50, 2, 2)
    assert not noisy[:, :, 1, 1].any()
    assert noisy[:, :, 1, 0].all()


def test_what_cannot_be_recorded(npz):
    with pytest.raises(ConfigError, match="3 agents, and online learning is for one.*split by joints"):
        Collector(HOPPER, 5, show=False).learn(None, steps=5)
    with pytest.raises(MismatchError, match="gives 2 actions, 3 are needed"):
        policies_recording(Collector(HOPPER, 5, show=False), [npz("a", 11, 2)[0]], noise=0.0)
    split = {"seed": 0, "behaviour": "", "dataset_id": "x", "split": True, "show": False}
    with pytest.raises(ConfigError, match="share one robot"):
        record(Uniform(6, Streams([0], "u")), EnvSpec("HalfCheetah-v5"), 5, **split)


def test_teams_are_written_as_hdf5_alone(tmp_path):
    recording = Collector(HOPPER, 15, show=False).random()
    outputs = Outputs(tmp_path)
    outputs.check([recording.dataset_id], recording.layout)
    assert [p.name for p in outputs.write(recording)] == ["mamujoco-hopper-3x1-v1-random-v0.hdf5"]
    with pytest.raises(ConfigError, match="Minari has no form for data of 3 agents; write hdf5 alone"):
        Outputs(tmp_path, formats=("hdf5", "minari")).check(["x/y-v0"], recording.layout)


def test_minari_refuses_teams(tmp_path):
    pytest.importorskip("minari")
    recording = Collector(HOPPER, 15, show=False).random()
    with pytest.raises(ConfigError, match="no form for data of several agents"):
        Outputs(tmp_path, formats=("minari",), minari_root=tmp_path).write(recording)


def test_names():
    from pathlib import Path

    assert dataset_names([Path("a/x.npz"), Path("y.npz")], None, None, ["random"]) == ["x-y"]
    assert dataset_names(None, Path("runs/v1.2"), None, ["random"]) == ["v1.2"]
    assert dataset_names(None, Path("runs/v1.2"), "medium", ["random"]) == ["medium"]
    assert dataset_names(None, None, None, ["random"]) == ["random"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two seeds and five updates on Hopper's three agents."""
    folder = tmp_path_factory.mktemp("run")
    data = write_hdf5(folder / "data.hdf5", Collector(HOPPER, 30, show=False).random())
    options = [
        "agent=matd3_bc",
        "source=none",
        "seeds=[3,4]",
        "train.updates=5",
        "device=cpu",
        "preset=debug",
    ]
    return train_from_config(compose([f"dataset.source={data}", f"out={folder}/ours", *options]))


def test_the_agent_of_a_run(run, tmp_path):
    found = [
        run_recording(Collector(HOPPER, 20, show=False), run, run_seed=seed, noise=noise)
        for seed, noise in ((None, 0.0), (3, 0.0), (4, 0.0), (3, 0.2))
    ]
    actions = [recording.record.actions for recording in found]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert (actions[0] != actions[2]).any()
    assert (actions[0] != actions[3]).any()
    assert found[2].behaviour == "matd3_bc of ours, seed 4, noise 0.0"
    assert found[0].dataset_id == "collected/mamujoco/Hopper-3x1-v1/ours-v0"
    # What the checkpoint's agent would do at these observations.
    config, (tree, meta) = run_config(run), load_tree(run / "checkpoint")
    layout = Layout.from_dict(meta["dataset"]["agents"])
    agent = agent_from_config(config, 9, 1, torch.device("cpu"), layout=layout)
    agent.load_state_dict(tree["agent"])
    obs = layout.joint_obs(torch.from_numpy(found[2].record.observations)).expand(2, -1, -1, -1)
    torch.testing.assert_close(torch.from_numpy(actions[2]), layout.flat_action(agent.act(obs)[1]))


def test_runs_that_do_not_fit(run):
    with pytest.raises(MismatchError, match=r"has seeds \[3, 4\], not 9"):
        run_recording(Collector(HOPPER, 5, show=False), run, run_seed=9)
    words = r"of \(\(8, 9, 8\), \(1, 1, 1\)\) numbers, .* of \(\(12, 12\), \(3, 3\)\)"
    with pytest.raises(MismatchError, match=words):
        run_recording(Collector(EnvSpec("mamujoco/HalfCheetah-2x3-v1"), 5, show=False), run)
    with pytest.raises(MismatchError, match=r"Hopper-v5 of \(11, 3\)"):
        run_recording(Collector(EnvSpec("Hopper-v5"), 5, show=False), run)


def test_the_agent_of_a_single_agents_run_is_split(tmp_path):
    data = write_hdf5(tmp_path / "data.hdf5", Collector(EnvSpec("Hopper-v5"), 30, show=False).random())
    options = ["agent=bc", "source=none", "seeds=[3]", "train.updates=3", "device=cpu", "preset=debug"]
    run = train_from_config(compose([f"dataset.source={data}", f"out={tmp_path}/one", *options]))
    team = run_recording(Collector(HOPPER, 15, sampled=False, show=False), run)
    alone = run_recording(Collector(EnvSpec("Hopper-v5"), 15, sampled=False, show=False), run)
    assert team.layout.agents == 3
    agent = agent_from_config(run_config(run), 11, 3, torch.device("cpu"))
    agent.load_state_dict(load_tree(run / "checkpoint")[0]["agent"])
    # Hopper's agents have its joints in order, and its observation is theirs without what they see twice.
    rows = alone.record
    expected = agent.act(torch.from_numpy(rows.observations)[None])[0]
    np.testing.assert_allclose(rows.actions, expected, atol=1e-6)
    seen = np.concatenate(make_env(HOPPER).unwrapped.seen)
    whole = np.zeros((15, 11), np.float32)
    whole[:, seen] = team.record.observations
    np.testing.assert_allclose(team.record.actions, agent.act(torch.from_numpy(whole)[None])[0], atol=1e-6)


class Stack:
    """Three members that act by their number, with noise."""

    def act(self, obs, streams=None):
        action = torch.arange(3.0).view(3, *[1] * (obs.dim() - 1)).expand(*obs.shape[:-1], 1) / 4
        return action if streams is None else action + streams.randn(*action.shape[1:])


def test_a_member_of_a_stack_acts_alone():
    obs = torch.zeros(1, 1, 2, 5)
    one = Member(Stack(), [5, 6, 7], 1)
    torch.testing.assert_close(one.act(obs), torch.full((1, 1, 2, 1), 0.25))
    drawn = one.act(obs, Streams([0], "x"))
    expected = Stack().act(obs.expand(3, 1, 2, 5), Streams([5, 6, 7], "collect.member"))[1:2]
    torch.testing.assert_close(drawn, expected)
