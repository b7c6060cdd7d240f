import hashlib
import json

import numpy as np
import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets import from_arrays, read_npz
from tests.datasets.layouts import Episode, columns

EPISODES = [Episode(3, "terminal"), Episode(2, "timeout")]


def test_npz_attributes_bind_the_environment(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **columns(EPISODES), env_id="Toy-v1", env_kwargs=json.dumps({"a": 1}), behaviour="me")
    dataset = read_npz(path)
    assert dataset.env == EnvSpec("Toy-v1", {"a": 1})
    assert (dataset.id, dataset.behaviour) == ("local/mine", "me")
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_npz_takes_simulator_state_under_either_name(tmp_path):
    data = columns(EPISODES)
    qpos, qvel = data["observations"][:, :1], data["observations"][:, 1:]
    for names in (("qpos", "qvel"), ("infos/qpos", "infos/qvel")):
        np.savez(tmp_path / "x.npz", **data, **dict(zip(names, (qpos, qvel), strict=True)))
        assert read_npz(tmp_path / "x.npz").transitions.sim_state is not None


def test_npz_is_never_unpickled(tmp_path):
    bad = columns(EPISODES) | {"rewards": np.array([1.0, None, 2.0, 3.0, 4.0], dtype=object)}
    np.savez(tmp_path / "x.npz", **bad)
    with pytest.raises(DataError, match=r"x\.npz: rewards holds pickled objects, which are never loaded"):
        read_npz(tmp_path / "x.npz")


def test_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, **columns(EPISODES))
    whole = path.read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.npz is not an npz file, or is truncated"):
            read_npz(path)
    middle = whole.index(b"rewards.npy") + 60
    path.write_bytes(whole[:middle] + b"\xff" * 8 + whole[middle + 8 :])
    with pytest.raises(DataError, match="rewards cannot be read"):
        read_npz(path)


def test_a_single_array_is_no_dataset(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="holds a single array"):
        read_npz(tmp_path / "x.npz")


def test_own_scale_is_rescaled_with_bounds():
    data = columns(EPISODES)
    dataset = from_arrays(**data | {"actions": 3 * data["actions"] + 1}, action_bounds=(-2.0, 4.0))
    np.testing.assert_allclose(dataset.transitions.action.numpy(), data["actions"], atol=1e-6)


def test_a_known_environment_of_other_dimensions_is_refused():
    with pytest.raises(
        MismatchError, match="observations have 3 and actions 2 columns, but Hopper-v5 has 11 and 3"
    ):
        from_arrays(**columns(EPISODES), env=EnvSpec("Hopper-v5"))
    assert from_arrays(**columns(EPISODES), env=EnvSpec("Mine-v0")).env == EnvSpec("Mine-v0")


def test_digest_of_arrays_is_that_of_their_contents():
    data = columns(EPISODES)
    one = from_arrays(**data).sha256
    assert from_arrays(**{k: v.copy() for k, v in data.items()}).sha256 == one
    assert from_arrays(**{k: np.asfortranarray(v) for k, v in data.items()}).sha256 == one
    for key in ("observations", "rewards", "next_observations"):
        other = data[key].copy()
        other[0] += 1
        assert from_arrays(**data | {key: other}).sha256 != one


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="max_steps"):
        from_arrays(**columns(EPISODES), max_steps=3)
