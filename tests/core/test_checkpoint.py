"""Checkpoints: exact round trips, whole after any interruption, errors that name the file."""

import json
import math
import shutil

import pytest
import torch

from mbrl.core import checkpoint
from mbrl.core.checkpoint import exists, flatten, load_tree, save_tree, unflatten
from mbrl.core.errors import CheckpointError

TREE = {"a": {"b": torch.tensor([1.5, math.inf]), "c": {"d": torch.tensor(3)}}, "e": torch.zeros(0, 2)}


def same(a, b):
    a, b = flatten(a), flatten(b)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert torch.equal(a[name], b[name])


def test_flatten_and_back():
    assert list(flatten(TREE)) == ["a/b", "a/c/d", "e"]
    same(unflatten(flatten(TREE)), TREE)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": 3}}, "a/b: only tensors are saved, got int"),
        ({"a": [torch.zeros(1)]}, "a: only tensors are saved, got list"),
        ({"x": {"a/b": torch.zeros(1)}}, "x/a/b: keys may not contain '/'"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, tree, message):
    with pytest.raises(CheckpointError, match=message):
        save_tree(tmp_path / "c", tree, {})
    assert not exists(tmp_path / "c")


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool, torch.bfloat16]
)
def test_round_trip_keeps_type_shape_and_bits(tmp_path, dtype):
    x = torch.arange(12).view(3, 4).to(dtype)
    tree = {"x": x, "view": x.T, "scalar": x[0, 1], "shared": x}
    save_tree(tmp_path / "c", tree, {"update": 7, "name": "ü", "list": [1, None], "float": 0.1})
    loaded, meta = load_tree(tmp_path / "c")
    same(loaded, tree)
    assert meta == {"update": 7, "name": "ü", "list": [1, None], "float": 0.1}


def test_parameters_are_saved_without_their_graph(tmp_path):
    p = torch.nn.Parameter(torch.ones(2))
    save_tree(tmp_path / "c", {"p": p}, {})
    assert not load_tree(tmp_path / "c")[0]["p"].requires_grad


def test_an_empty_tree_can_be_saved(tmp_path):
    save_tree(tmp_path / "c", {"nothing": {}}, {"a": 1})
    assert load_tree(tmp_path / "c") == ({}, {"a": 1})


def test_saving_again_replaces_the_old_and_leaves_nothing_beside(tmp_path):
    folder = tmp_path / "deep" / "run" / "c"
    for i in range(3):
        save_tree(folder, {"x": torch.tensor(i)}, {"i": i})
        tree, meta = load_tree(folder)
        assert (tree["x"].item(), meta["i"]) == (i, i)
    assert [p.name for p in folder.parent.iterdir()] == ["c"]


def test_no_checkpoint_is_an_error_naming_the_folder(tmp_path):
    assert not exists(tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"/c: no checkpoint here"):
        load_tree(tmp_path / "c")


def test_between_the_two_renames_the_previous_one_is_found_and_the_next_save_heals(tmp_path):
    folder = tmp_path / "c"
    save_tree(folder, {"x": torch.tensor(1)}, {})
    folder.rename(tmp_path / "c.previous")
    assert exists(folder)
    assert load_tree(folder)[0]["x"].item() == 1
    save_tree(folder, {"x": torch.tensor(2)}, {})
    assert load_tree(folder)[0]["x"].item() == 2
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@pytest.mark.parametrize(
    "step", ["rmtree", "mkdir", "save_file", "write_text", "flush", "rename 1", "rename 2"]
)
def test_killed_at_any_step_of_a_save_leaves_a_whole_checkpoint(tmp_path, monkeypatch, step):
    folder = tmp_path / "c"
    save_tree(folder, {"x": torch.tensor(1)}, {"x": 1})
    with monkeypatch.context() as patched:
        kill_at(patched, step)
        with pytest.raises(Killed):
            save_tree(folder, {"x": torch.tensor(2)}, {"x": 2})
    tree, meta = load_tree(folder)
    assert tree["x"].item() == meta["x"] == 1
    save_tree(folder, {"x": torch.tensor(3)}, {"x": 3})
    assert load_tree(folder)[1] == {"x": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def kill_at(patched: pytest.MonkeyPatch, step: str) -> None:
    """Die when save_tree comes to this step (at the n-th call for "name n")."""
    name, _, count = step.partition(" ")
    owner, attribute = {
        "rmtree": (shutil, "rmtree"),
        "mkdir": (checkpoint.Path, "mkdir"),
        "save_file": (checkpoint, "save_file"),
        "write_text": (checkpoint.Path, "write_text"),
        "flush": (checkpoint, "_flush"),
        "rename": (checkpoint.Path, "rename"),
    }[name]
    real, left = getattr(owner, attribute), [int(count or 1)]

    def dying(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(*args, **kwargs)

    patched.setattr(owner, attribute, dying)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def scramble(path):
    path.write_bytes(b"\xff" * 40)


@pytest.mark.parametrize(
    "damage", [cut, scramble, lambda path: path.unlink(), lambda path: path.write_bytes(b"")]
)
@pytest.mark.parametrize("name", ["tensors.safetensors", "meta.json"])
def test_a_damaged_file_is_an_error_naming_it(tmp_path, damage, name):
    save_tree(tmp_path / "c", {"x": torch.arange(100)}, {"a": {"b": 1}})
    damage(tmp_path / "c" / name)
    with pytest.raises(CheckpointError, match=rf"/c/{name}: damaged or incomplete checkpoint"):
        load_tree(tmp_path / "c")


def test_an_unwritable_place_is_an_error_naming_it(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match=r"file/run/c: cannot write a checkpoint here"):
        save_tree(tmp_path / "file" / "run" / "c", {}, {})


def test_a_full_disk_is_an_error_whoever_notices(tmp_path, monkeypatch):
    def full(*args):
        raise checkpoint.SafetensorError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_tree(tmp_path / "c", TREE, {})


def test_no_pickle_is_written(tmp_path):
    save_tree(tmp_path / "c", TREE, {"a": 1})
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["meta.json", "tensors.safetensors"]
    assert json.loads((tmp_path / "c" / "meta.json").read_text()) == {"a": 1}
