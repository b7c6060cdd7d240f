import sys
from subprocess import run

import h5py
import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.core.types import EnvSpec
from mbrl.datasets import load, locate
from mbrl.datasets.names import PATHS
from tests.datasets.layouts import Episode, columns

EPISODES = [Episode(3, "terminal"), Episode(2, "timeout")]


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = columns(EPISODES)
    data["observations"] = data["next_observations"] = np.zeros((5, 11))
    data["actions"] = np.zeros((5, 3))
    with h5py.File(path, "w") as file:
        for key, value in data.items():
            file[key] = value


@pytest.fixture(autouse=True)
def d4rl(tmp_path, monkeypatch):
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "d4rl"))
    return tmp_path / "d4rl"


@pytest.mark.parametrize("name", ["hopper_medium_replay-v2.hdf5", "hopper-medium-replay-v2.hdf5"])
def test_d4rl_by_name_under_either_file_name(d4rl, name, capsys):
    write(d4rl / name)
    dataset = load("d4rl/hopper-medium-replay-v2")
    assert dataset.id == "d4rl/hopper-medium-replay-v2"
    assert dataset.env == EnvSpec("Hopper-v4")
    out = capsys.readouterr().out
    for part in ("d4rl/hopper-medium-replay-v2", "5 (obs 11, action 3)", "terminals    1, timeouts 1"):
        assert part in out
    for part in (dataset.sha256, "Hopper-v4", "min 3.00, mean 102.00, max 201.00", "dropped      none"):
        assert part in out


def test_published_file_names():
    assert PATHS["halfcheetah-medium-expert-v2"] == "gym_mujoco_v2/halfcheetah_medium_expert-v2.hdf5"
    assert PATHS["walker2d-medium-replay-v0"] == "gym_mujoco/walker_mixed.hdf5"
    assert PATHS["maze2d-umaze-v1"] == "maze2d/maze2d-umaze-sparse-v1.hdf5"
    assert PATHS["maze2d-open-dense-v0"] == "maze2d/maze2d-open-dense.hdf5"
    assert PATHS["pen-cloned-v1"] == "hand_dapg_v1/pen-cloned-v1.hdf5"
    assert PATHS["antmaze-umaze-v2"].endswith(
        "u-maze_noisy_multistart_False_multigoal_False_sparse_fixed.hdf5"
    )
    assert len(set(PATHS.values())) == len(PATHS)


def test_a_d4rl_file_that_is_not_there_tells_where_to_get_it(d4rl):
    with pytest.raises(DataError) as caught:
        load("d4rl/hopper-medium-v2")
    for part in (
        "hopper_medium-v2.hdf5",
        str(d4rl),
        "gym_mujoco_v2/hopper_medium-v2.hdf5",
        "D4RL_DATASET_DIR",
    ):
        assert part in str(caught.value)


def test_an_unknown_d4rl_name_tells_near_ones():
    with pytest.raises(DataError, match="did you mean 'hopper-medium-v2'"):
        load("d4rl/hopper-medim-v2")
    with pytest.raises(DataError, match="The version is part of the name"):
        load("d4rl/hopper-medium")
    with pytest.raises(DataError, match="unknown D4RL dataset"):
        load("d4rl/../../etc/passwd")


def test_the_embedded_sample(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locate, "SAMPLES", tmp_path / "sample")
    with pytest.raises(DataError, match="unknown sample dataset"):
        load("sample")
    write(tmp_path / "sample" / "hopper.hdf5")
    assert load("sample", verbose=False).id == load("sample/hopper", verbose=False).id == "sample/hopper"
    assert capsys.readouterr().out == ""
    write(tmp_path / "sample" / "other.hdf5")
    with pytest.raises(DataError, match="known: hopper, other"):
        load("sample")
    with pytest.raises(DataError, match="did you mean 'hopper'"):
        load("sample/../hoper")


def test_paths_and_options(tmp_path):
    write(tmp_path / "a.hdf5")
    np.savez(tmp_path / "b.npz", **columns(EPISODES))
    assert load(tmp_path / "a.hdf5", env=EnvSpec("Hopper-v5"), verbose=False).env.id == "Hopper-v5"
    assert load(str(tmp_path / "b.npz"), verbose=False).id == "local/b"
    assert load(tmp_path / "b.npz", id="mine/b-v1", verbose=False).id == "mine/b-v1"


def test_an_unknown_source_tells_what_is_known():
    with pytest.raises(DataError, match=r"did you mean 'd4rl/hopper-medium-v2'\?"):
        load("hopper-medium-v2")
    for source in ("nothing", "minari/", "minari", "x.csv"):
        with pytest.raises(DataError, match="Known are 'sample', 'd4rl/<name>', 'minari/<id>', .* and paths"):
            load(source)


def test_importing_stays_light():
    code = (
        "import sys, mbrl.datasets; print([m for m in ('minari', 'gymnasium', 'mujoco') if m in sys.modules])"
    )
    assert (
        run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
