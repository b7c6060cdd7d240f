import hashlib
import json

import h5py
import numpy as np
import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.types import EnvSpec
from mbrl.datasets import read_hdf5
from tests.datasets.layouts import Episode, columns, via_hdf5

EPISODES = [Episode(3, "terminal"), Episode(2, "timeout")]


def write(path, attributes=None, **changes):
    with h5py.File(path, "w") as file:
        for key, value in (columns(EPISODES) | changes).items():
            file[key] = value
        file.attrs.update(attributes or {})
    return path


def test_attributes_bind_the_environment_and_tell_the_behaviour(tmp_path):
    attributes = {
        "env_id": "Toy-v1",
        "env_kwargs": json.dumps({"gravity": 2.0}),
        "versions": json.dumps({"mujoco": "3.4.0"}),
        "behaviour": "a policy",
        "dataset_id": "toy-medium",
        "seed": 3,
    }
    path = write(tmp_path / "x.hdf5", attributes)
    dataset = read_hdf5(path)
    assert dataset.env == EnvSpec("Toy-v1", {"gravity": 2.0}, {"mujoco": "3.4.0"})
    assert (dataset.id, dataset.behaviour) == ("local/toy-medium", "a policy")
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_attributes_stored_as_bytes_are_read(tmp_path):
    dataset = read_hdf5(write(tmp_path / "a b.hdf5", {"env_id": np.bytes_("Toy-v1")}))
    assert dataset.env == EnvSpec("Toy-v1")
    assert dataset.id == "local/a-b"


def test_without_attributes_no_environment_is_assumed(tmp_path):
    assert read_hdf5(write(tmp_path / "hopper-medium-v2.hdf5")).env is None


@pytest.mark.parametrize("raw", ["{", "[1]"])
def test_attributes_that_are_no_json_objects_are_refused(tmp_path, raw):
    path = write(tmp_path / "x.hdf5", {"env_id": "Toy-v1", "env_kwargs": raw})
    with pytest.raises(DataError, match=r"x\.hdf5: attribute env_kwargs is"):
        read_hdf5(path)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "x.hdf5"
    for content in (b"", b"not at all", b"\x89HDF\r\n\x1a\n" + b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.hdf5 is not an HDF5 file, or is truncated"):
            read_hdf5(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path / "x.hdf5")
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match="truncated"):
            read_hdf5(path)


def test_a_damaged_chunk_is_refused_with_its_key(tmp_path):
    path = tmp_path / "x.hdf5"
    data = columns(EPISODES)
    with h5py.File(path, "w") as file:
        for key, value in data.items():
            file.create_dataset(key, data=value, compression="gzip", chunks=value.shape)
        chunk = file["rewards"].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"x\.hdf5: rewards cannot be read, the file is truncated or damaged"):
        read_hdf5(path)


def test_a_missing_file_is_refused_with_near_names(tmp_path):
    write(tmp_path / "hopper-medium.hdf5")
    with pytest.raises(DataError, match=r"did you mean 'hopper-medium\.hdf5'"):
        read_hdf5(tmp_path / "hoper-medium.hdf5")
    with pytest.raises(DataError, match="there is no folder"):
        read_hdf5(tmp_path / "nowhere" / "x.hdf5")
    with pytest.raises(DataError, match="is a folder"):
        read_hdf5(tmp_path)


def test_objects_in_a_file_are_refused(tmp_path):
    path = write(tmp_path / "x.hdf5", rewards=np.array(["1", "2", "3", "4", "5"], dtype=h5py.string_dtype()))
    with pytest.raises(DataError, match="rewards holds variable-length objects"):
        read_hdf5(path)


def test_a_link_to_another_file_is_not_followed(tmp_path):
    write(tmp_path / "other.hdf5")
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        for key, value in columns(EPISODES, without=("rewards",)).items():
            file[key] = value
        file["rewards"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "rewards")
    with pytest.raises(DataError, match="no key 'rewards'"):
        read_hdf5(path)


def test_scalars_with_a_trailing_axis_are_read_as_d4rl_does(tmp_path):
    data = columns(EPISODES)
    wide = data | {key: data[key][:, None] for key in ("rewards", "terminals", "timeouts")}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = via_hdf5(data, tmp_path / "a"), via_hdf5(wide, tmp_path / "b")
    assert (a.transitions.reward == b.transitions.reward).all()
    assert a.stats == b.stats


def test_a_file_that_names_its_environment_is_not_d4rls(tmp_path):
    path = write(tmp_path / "x.hdf5", {"env_id": "Hopper-v5"})
    with pytest.raises(MismatchError, match="recorded in Hopper-v5"):
        read_hdf5(path, id="d4rl/hopper-medium-v2")


def test_simulator_state_is_read_from_infos(tmp_path):
    data = columns([Episode(3, "terminal")])
    state = {"infos/qpos": data["observations"][:, :1], "infos/qvel": data["observations"][:, 1:]}
    dataset = via_hdf5(data | state, tmp_path)
    assert dataset.transitions.sim_state.tolist() == data["observations"].tolist()


def test_ids_cannot_climb(tmp_path):
    path = write(tmp_path / "x.hdf5")
    for id in ("../x", "/etc/x", "a//b", "a/../b", ""):
        with pytest.raises(DataError, match="dataset id"):
            read_hdf5(path, id=id)
    assert read_hdf5(write(tmp_path / "y.hdf5", {"dataset_id": "../../etc"})).id == "local/etc"
