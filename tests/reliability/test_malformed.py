"""Spoiled files of every kind: an error of this project that says something, or a load; never anything else.

By hand with more of them than in the suite:

    EXAMPLES=150 pytest tests/reliability/test_malformed.py
"""

import io
import os
import shutil
from datetime import timedelta

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbrl.agents.policy_file import load_policy
from mbrl.conf import compose, load_config
from mbrl.core.checkpoint import load_tree, recover
from mbrl.core.errors import MbrlError
from mbrl.core.log import read_metrics
from mbrl.datasets import load
from mbrl.datasets.vault import from_experience
from mbrl.datasets.write_minari import write_minari
from mbrl.run.envs import make_native
from mbrl.run.result import read_result
from tests.datasets.recordings import stepped
from tests.reliability import damage
from tests.reliability.damage import EDITS, columns, outcome, spoil

EXAMPLES = int(os.environ.get("EXAMPLES", "20"))
"""Of each test."""
generated = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=20),
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

SLOW = settings(generated, max_examples=max(2, EXAMPLES // 4))
"""For configurations, which take a quarter of a second each to read."""

FILES = {
    "a.npz": (damage.write_npz, lambda p: load(p, verbose=False)),
    "a.hdf5": (damage.write_h5, lambda p: load(p, verbose=False)),
    "omiga.hdf5": (damage.write_omiga, lambda p: load(f"omiga/{p}", verbose=False)),
    "DMSD-train.npz": (damage.write_neorl2, lambda p: load("neorl2/DMSD", verbose=False)),
    "policy.npz": (damage.write_policy, load_policy),
    "metrics.jsonl": (damage.write_metrics, read_metrics),
    "config.yaml": (damage.write_config, load_config),
    "result.json": (damage.write_result, lambda p: read_result(p.parent)),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with one sound file of each kind, and their bytes."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NEORL2_DATASET_DIR", str(folder))
        for name, (write, read) in FILES.items():
            write(folder / name)
            read(folder / name)
        yield folder, {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_spoiled_bytes(sound, name):
    folder, contents = sound

    @(SLOW if name == "config.yaml" else generated)
    @given(EDITS)
    def check(edits):
        (folder / name).write_bytes(spoil(contents[name], edits))
        outcome(lambda: FILES[name][1](folder / name))

    check()


def test_spoiled_checkpoints_never_give_other_values(tmp_path):
    @generated
    @given(EDITS, st.sampled_from(["tensors.safetensors", "meta.json", "sha256sums"]), st.booleans())
    def check(edits, name, without_sums):
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        damage.write_checkpoint(tmp_path / "c")
        shutil.rmtree(tmp_path / "c.previous", ignore_errors=True)
        path = tmp_path / "c" / name
        path.write_bytes(spoil(path.read_bytes(), edits))
        if without_sums:
            (tmp_path / "c/sha256sums").unlink()
        found = outcome(lambda: load_tree(tmp_path / "c"))
        outcome(lambda: recover(tmp_path / "c"))
        if not isinstance(found, MbrlError) and not without_sums:
            assert found[1] == {"update": 3, "seeds": [0]}
            assert torch.equal(found[0]["a"]["w"], torch.arange(20.0))

    check()


def test_spoiled_metrics_never_give_other_values(tmp_path):
    damage.write_summed_metrics(tmp_path / "rows.jsonl")
    data, rows = (tmp_path / "rows.jsonl").read_bytes(), read_metrics(tmp_path / "rows.jsonl")
    assert len(rows) == 4

    @generated
    @given(EDITS)
    def check(edits):
        (tmp_path / "rows.jsonl").write_bytes(spoil(data, edits))
        found = outcome(lambda: read_metrics(tmp_path / "rows.jsonl"))
        # Of a first line alone, the name of its checksum may be spoiled: that is a figure more.
        if not isinstance(found, MbrlError):
            assert all(row.items() <= other.items() for row, other in zip(rows, found, strict=False))

    check()


ARRAYS = st.one_of(
    st.builds(
        lambda shape, kind: np.zeros(shape, dtype=kind),
        st.lists(st.integers(0, 5), max_size=4).map(tuple),
        st.sampled_from(["f4", "f8", "i8", "?", "c8", "S3", "U2", "M8[s]", "u1", "f2"]),
    ),
    st.sampled_from([np.full((12, 3), np.nan), np.full((12, 2), 1e300), np.arange(12.0), np.array("x")]),
)


def test_spoiled_minari_datasets(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("mbrl.datasets.minari_data._download", lambda *args: None)
    recording = stepped(steps=20, dataset_id="test/Hopper-v5/random-v0")
    write_minari(recording, make_native(recording.env), root=tmp_path)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert len(load("minari/test/Hopper-v5/random-v0", verbose=False)) == 20

    @generated
    @given(EDITS, st.sampled_from(sorted(files)))
    def check(edits, path):
        path.write_bytes(spoil(files[path], edits))
        outcome(lambda: load("minari/test/Hopper-v5/random-v0", verbose=False))
        path.write_bytes(files[path])

    check()


def test_vaults_of_any_arrays():
    shapes = st.lists(st.integers(0, 4), max_size=5).map(tuple)
    same_time = st.lists(st.integers(0, 3), max_size=3).map(lambda rest: (1, damage.ROWS, *rest))
    kinds = st.sampled_from(["f4", "f8", "i8", "?", "c8", "S3", "U2", "M8[s]", "u1", "f2"])
    arrays = st.builds(lambda shape, kind: np.zeros(shape, dtype=kind), shapes | same_time, kinds)
    names = [*damage.vault_experience(), "infos"]
    values = arrays | ARRAYS | st.sampled_from([None, "x", [], {}, [[1], [2, 3]], {"a": np.zeros(3)}])

    @generated
    @given(
        st.dictionaries(st.sampled_from(names), values, min_size=1, max_size=3),
        st.integers(1, 2),
        st.booleans(),
        st.sampled_from([None, 0, 1, 1000]),
    )
    def check(changes, recordings, last, limit):
        found = damage.vault_experience(recordings) | changes
        options = {"last_observations": last, "limit": limit}
        outcome(
            lambda: from_experience(found, id="vault/x/y", where="x.vlt/y", lineage="mamujoco_v0", **options)
        )

    check()


def test_spoiled_vaults_never_give_other_values(tmp_path):
    pytest.importorskip("flashbax")
    place = tmp_path / "mamujoco/toy.vlt/Good"
    damage.write_vault(place)
    files = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    whole = load(f"vault/{place}", verbose=False).transitions

    @generated
    @given(EDITS, st.integers(0, len(files) - 1))  # their names are others every time
    def check(edits, number):
        path = sorted(files, key=lambda p: (len(files[p]), p))[number]
        path.write_bytes(spoil(files[path], edits))
        found = outcome(lambda: load(f"vault/{place}", verbose=False))
        path.write_bytes(files[path])
        if not isinstance(found, MbrlError):
            names = ("obs", "action", "reward", "next_obs", "terminal", "timeout")
            assert all(torch.equal(getattr(found.transitions, n), getattr(whole, n)) for n in names)

    check()


ATTRIBUTES = ("env_id", "env_kwargs", "versions", "agents")


@pytest.mark.parametrize("suffix", ["npz", "hdf5"])
def test_columns_of_any_type_and_shape(tmp_path, suffix):
    names = [
        *columns(),
        "next_observations",
        "infos/qpos",
        "infos/qvel",
        "env_id",
        "env_kwargs",
        "versions",
        "agents",
    ]

    @generated
    @given(
        st.dictionaries(
            st.sampled_from(names), st.one_of(ARRAYS, st.text(max_size=5)), min_size=1, max_size=3
        )
    )
    def check(changes):
        path, found = tmp_path / f"a.{suffix}", columns() | changes
        if suffix == "npz":
            np.savez(path, **found)
        else:
            outcome_of_writing(path, found)
        outcome(lambda: load(path, verbose=False))

    def outcome_of_writing(path, found):
        with h5py.File(path, "w") as file:
            for key, value in found.items():
                value = np.array(value.replace("\0", "")) if isinstance(value, str) else value
                if value.dtype.kind in "UM":
                    file.attrs[key] = str(value)
                elif key in ATTRIBUTES:
                    file.attrs[key] = value
                else:
                    file[key] = value

    check()


def test_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("mbrl.datasets.minari_data._download", lambda *args: None)
    odd = ["..", "~", "~nobody", "", ".", "a.vlt", "omiga", "*", "x.npz", "a\0.npz", "\ud800.hdf5", "x" * 300]
    part = st.one_of(st.sampled_from(odd), st.text(max_size=8))
    kinds = ["d4rl", "sample", "neorl2", "omiga", "vault", "minari", "", "/", "nothing"]

    @generated
    @given(st.sampled_from(kinds), st.lists(part, max_size=4))
    def check(kind, parts):
        outcome(lambda: load("/".join([kind, *parts]), verbose=False))

    check()


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=5,
)


def test_options_of_any_value():
    names = ["seeds", "out", "device", "agent.gamma", "agent.num_critics", "agent.hidden", "train.updates"]
    names += ["dataset", "train.real_ratio", "dynamics.members", "source.horizon", "stack", "nothing"]

    @SLOW
    @given(st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=3))
    def check(values):
        outcome(lambda: compose(["agent=ravl", "preset=debug", *(f"{k}={v}" for k, v in values.items())]))

    check()


def test_configurations_of_any_value(sound):
    import yaml

    folder, contents = sound
    base = yaml.safe_load(io.BytesIO(contents["config.yaml"]))

    @SLOW
    @given(st.data())
    def check(data):
        changed = dict(base)
        for key in data.draw(st.lists(st.sampled_from(sorted(base)), min_size=1, max_size=2)):
            inner = changed[key]
            if isinstance(inner, dict) and inner and data.draw(st.booleans()):
                changed[key] = {**inner, data.draw(st.sampled_from(sorted(inner))): data.draw(VALUES)}
            else:
                changed[key] = data.draw(VALUES)
        (folder / "config.yaml").write_text(yaml.safe_dump(changed))
        outcome(lambda: load_config(folder / "config.yaml"))

    check()
