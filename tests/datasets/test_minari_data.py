import builtins

import gymnasium
import minari
import numpy as np
import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets import load, read_minari
from tests.datasets.layouts import Episode, columns, minari_buffers, write_minari

EPISODES = [Episode(3, "terminal"), Episode(2, "timeout")]
BUFFERS = minari_buffers(EPISODES)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def test_actions_are_rescaled_from_the_action_space():
    write_minari("toy/wide-v0", minari_buffers(EPISODES, scale=0.4), low=-0.4, high=0.4)
    dataset = read_minari("toy/wide-v0")
    np.testing.assert_allclose(dataset.transitions.action.numpy(), columns(EPISODES)["actions"], atol=1e-6)


def test_an_unbounded_action_space_must_hold_unit_actions():
    write_minari("toy/free-v0", minari_buffers(EPISODES), low=-np.inf, high=np.inf)
    assert len(read_minari("toy/free-v0")) == 5
    write_minari("toy/free-v1", minari_buffers(EPISODES, scale=30), low=-np.inf, high=np.inf)
    with pytest.raises(DataError, match="toy/free-v1: actions row 1, column 1 is -3, outside"):
        read_minari("toy/free-v1")
    assert len(read_minari("toy/free-v1", action_bounds=(-30.0, 30.0))) == 5


def test_the_environment_its_versions_and_the_behaviour_are_read():
    spec = gymnasium.spec("Pendulum-v1")
    spec.kwargs["g"] = 9.0
    requirements = ["mujoco==3.4.0", "gymnasium>=1.0"]
    write_minari("toy/env-v0", BUFFERS, env=spec, requirements=requirements, algorithm_name="a policy")
    dataset = read_minari("toy/env-v0")
    assert dataset.env == EnvSpec(
        "Pendulum-v1", {"g": 9.0}, {"mujoco": "3.4.0", "minari": minari.__version__}
    )
    assert dataset.behaviour == "a policy"
    assert dataset.id == "minari/toy/env-v0"


def test_the_evaluation_environment_goes_first():
    write_minari("toy/env-v0", BUFFERS, env="Pendulum-v1", eval_env="MountainCarContinuous-v0")
    assert read_minari("toy/env-v0").env.id == "MountainCarContinuous-v0"


def test_dimensions_must_be_the_environments():
    write_minari("toy/env-v0", BUFFERS, env="Hopper-v5")
    with pytest.raises(MismatchError, match="Hopper-v5 has 11 and 3"):
        read_minari("toy/env-v0")


# Arrow storage has a row of infos for every observation; HDF5 may lack that of the final one.
@pytest.mark.parametrize(("storage", "extra"), [("hdf5", 0), ("hdf5", 1), ("arrow", 1)])
def test_simulator_state_in_infos_is_kept(storage, extra):
    buffers = minari_buffers([Episode(3, "terminal")])
    observations = buffers[0].observations[: 3 + extra]
    infos = {"qpos": observations[:, :1].astype(np.float64), "qvel": observations[:, 1:].astype(np.float64)}
    buffers = [type(buffers[0])(**{**vars(buffers[0]), "infos": infos})]
    write_minari("toy/state-v0", buffers, storage)
    state = read_minari("toy/state-v0").transitions.sim_state
    assert state.tolist() == observations[:3].tolist()


def test_a_dataset_object_is_as_good_as_an_id():
    write_minari("toy/test-v0", BUFFERS)
    assert read_minari(minari.load_dataset("toy/test-v0")).sha256 == read_minari("toy/test-v0").sha256


def test_load_finds_it(capsys):
    write_minari("toy/test-v0", BUFFERS)
    load("minari/toy/test-v0")
    assert "dataset minari/toy/test-v0" in capsys.readouterr().out


def test_discrete_actions_are_refused():
    space = gymnasium.spaces.Discrete(3)
    episode = vars(BUFFERS[0]) | {"actions": np.array([0, 1, 2])}
    write_minari("toy/discrete-v0", [type(BUFFERS[0])(**episode)], action_space=space)
    with pytest.raises(DataError, match=r"action space Discrete\(3\) is not supported; expected continuous"):
        read_minari("toy/discrete-v0")


def test_observations_that_are_no_vectors_are_refused():
    box = gymnasium.spaces.Box(-9, 9, (3,), np.float32)
    episode = vars(BUFFERS[0]) | {"observations": {"a": BUFFERS[0].observations}}
    space = gymnasium.spaces.Dict({"a": box})
    write_minari("toy/dict-v0", [type(BUFFERS[0])(**episode)], observation_space=space)
    with pytest.raises(DataError, match=r"observation space Dict.* is not supported; expected vectors"):
        read_minari("toy/dict-v0")


def test_no_episodes_is_refused():
    write_minari("toy/none-v0", [])
    with pytest.raises(DataError, match="toy/none-v0: empty dataset"):
        read_minari("toy/none-v0")


def test_an_unknown_id_names_near_ones_and_what_to_do_offline(monkeypatch, root):
    write_minari("mujoco/hopper/medium-v0", BUFFERS)
    hidden = root / ".writing" / "mujoco/hoper/medium-v0/data"
    hidden.mkdir(parents=True)
    (hidden / "metadata.json").write_text("{}")

    def no_network(id):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(minari, "download_dataset", no_network)
    with pytest.raises(DataError) as caught:
        read_minari("mujoco/hoper/medium-v0")
    message = str(caught.value)
    assert ".writing" not in message
    for part in (
        "did you mean 'mujoco/hopper/medium-v0'?",
        "ConnectionError: no route to host",
        "minari download mujoco/hoper/medium-v0",
        str(root / "mujoco/hoper/medium-v0"),
        "MINARI_DATASETS_PATH",
    ):
        assert part in message
    with pytest.raises(DataError, match="did you mean 'mujoco/hopper/medium-v0'"):
        read_minari("mujoco/hoper/medium-v0", download=False)


def test_with_a_network_it_is_downloaded(monkeypatch):
    monkeypatch.setattr(minari, "download_dataset", lambda id: write_minari(id, BUFFERS))
    assert len(read_minari("toy/remote-v0")) == 5


def test_a_download_that_brings_nothing_is_an_error(monkeypatch):
    monkeypatch.setattr(minari, "download_dataset", lambda id: None)
    with pytest.raises(DataError, match="brought nothing"):
        read_minari("toy/remote-v0")


@pytest.mark.parametrize("storage", ["hdf5", "arrow"])
def test_a_damaged_copy_is_refused(root, storage):
    write_minari("toy/test-v0", BUFFERS, storage)
    data = root / "toy/test-v0/data"
    file = data / "main_data.hdf5" if storage == "hdf5" else next((data / "0").glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="toy/test-v0 cannot be read, it is truncated or damaged"):
        read_minari("toy/test-v0")
    (data / "metadata.json").write_text("{")
    with pytest.raises(DataError, match="cannot be opened"):
        read_minari("toy/test-v0")


def test_ids_cannot_climb():
    for id in ("../x-v0", "/x-v0", "toy//x-v0", "hf://somewhere/x-v0"):
        with pytest.raises(DataError, match="dataset id"):
            read_minari(id)


def test_without_the_package_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "minari":
            raise ImportError("No module named 'minari'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DataError, match=r"pip install 'offline-mbrl\[minari\]'"):
        read_minari("toy/test-v0")


def test_an_empty_folder_is_said_to_be_empty(root):
    with pytest.raises(DataError, match=f"no Minari dataset 'toy/test-v0': {root} holds none"):
        read_minari("toy/test-v0", download=False)
