"""Checkpoints: exact round trips, whole after any interruption, errors that name the file."""

import hashlib
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import save_file

from mbrl.core import checkpoint
from mbrl.core.checkpoint import exists, flatten, load_tree, recover, save_tree, unflatten
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
    tree = {"x": x, "view": x.T, "scalar": x[0, 1], "shared": x, "one of a row": x[:1, 0]}
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


def test_saving_again_replaces_the_old_and_keeps_the_one_before(tmp_path):
    folder = tmp_path / "deep" / "run" / "c"
    for i in range(3):
        save_tree(folder, {"x": torch.tensor(i)}, {"i": i})
        tree, meta = load_tree(folder)
        assert (tree["x"].item(), meta["i"]) == (i, i)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["c", "c.previous"]
    assert load_tree(folder.with_name("c.previous"))[1] == {"i": 1}


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
    assert load_tree(tmp_path / "c.previous")[0]["x"].item() == 1


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@pytest.mark.parametrize(
    "step",
    [
        *("rmtree 1", "rmtree 2", "mkdir", "save_file", "write_text 1", "write_text 2", "flush 1", "flush 2"),
        *("flush 3", "flush 4", "rename 1", "rename 2"),
    ],
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
    assert {p.name for p in tmp_path.iterdir()} <= {"c", "c.previous"}


def kill_at(patched: pytest.MonkeyPatch, step: str) -> None:
    """Die when save_tree comes to this step (at the n-th call for "name n")."""
    name, _, count = step.partition(" ")
    owner, attribute = {
        "rmtree": (shutil, "rmtree"),
        "mkdir": (checkpoint.Path, "mkdir"),
        "save_file": (checkpoint, "save_file"),
        "write_text": (checkpoint.Path, "write_text"),
        "flush": (checkpoint, "flush"),
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
    def full(*args, **kwargs):
        raise checkpoint.SafetensorError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_tree(tmp_path / "c", TREE, {})


def test_no_pickle_is_written(tmp_path):
    save_tree(tmp_path / "c", TREE, {"a": 1})
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "meta.json",
        "sha256sums",
        "tensors.safetensors",
    ]
    assert json.loads((tmp_path / "c" / "meta.json").read_text()) == {"a": 1}
    assert not any(b"pickle" in p.read_bytes() for p in (tmp_path / "c").iterdir())


def two(folder):
    """A checkpoint and the one before."""
    for i in (1, 2):
        save_tree(folder, {"x": torch.full((40,), float(i)), "n": {"y": torch.arange(3)}}, {"i": i})


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << place % 8
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["tensors.safetensors", "meta.json"])
def test_any_flipped_byte_is_found_and_the_one_before_is_used(tmp_path, name, capsys):
    folder = tmp_path / "c"
    two(folder)
    size = (folder / name).stat().st_size
    for place in range(size):
        flip(folder / name, place)
        tree, meta = load_tree(folder)
        assert tree["x"][0] == meta["i"] == 1
        said = capsys.readouterr().err
        assert said.startswith(f"warning: {folder}/{name}: damaged or incomplete checkpoint")
        assert f"{folder}.previous is used in its place" in said
        flip(folder / name, place)
    assert load_tree(folder)[1] == {"i": 2}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["tensors.safetensors", "meta.json", "sha256sums"])
@pytest.mark.parametrize("damage", [cut, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_cut_or_missing_file_is_found_and_the_one_before_is_used(tmp_path, damage, name, capsys):
    two(tmp_path / "c")
    damage(tmp_path / "c" / name)
    assert load_tree(tmp_path / "c")[1] == {"i": 1}
    assert "is used in its place" in capsys.readouterr().err


def test_two_damaged_checkpoints_are_both_named(tmp_path):
    two(tmp_path / "c")
    cut(tmp_path / "c/meta.json")
    cut(tmp_path / "c.previous/tensors.safetensors")
    for attempt in (load_tree, recover):
        with pytest.raises(CheckpointError, match=r"/c/meta.json: damaged.*/c.previous/tensors.*: damaged"):
            attempt(tmp_path / "c")


def test_recovery_puts_the_damaged_one_aside_and_the_next_save_keeps_the_sound_one(tmp_path, capsys):
    folder = tmp_path / "c"
    recover(folder)
    two(folder)
    recover(folder)
    assert capsys.readouterr().err == ""
    cut(folder / "meta.json")
    recover(folder)
    assert f"kept as {folder}.damaged" in capsys.readouterr().err
    assert load_tree(folder)[1] == {"i": 1}
    save_tree(folder, {}, {"i": 3})
    assert load_tree(tmp_path / "c.previous")[1] == {"i": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "c.damaged", "c.previous"]


def test_a_checkpoint_of_an_earlier_version_without_checksums_is_loaded(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    save_file({"a/b": torch.arange(3)}, folder / "tensors.safetensors")
    (folder / "meta.json").write_text('{"i": 1}')
    tree, meta = load_tree(folder)
    assert (tree["a"]["b"].tolist(), meta) == ([0, 1, 2], {"i": 1})
    recover(folder)
    assert load_tree(folder)[1] == {"i": 1}


def test_the_checksums_are_those_of_sha256sum(tmp_path):
    save_tree(tmp_path / "c", TREE, {"a": 1})
    lines = dict(reversed(line.split("  ")) for line in (tmp_path / "c/sha256sums").read_text().splitlines())
    assert sorted(lines) == ["meta.json", "tensors.safetensors"]
    for name, digest in lines.items():
        assert hashlib.sha256((tmp_path / "c" / name).read_bytes()).hexdigest() == digest


def test_what_the_disk_does_not_give_back_is_not_taken_for_a_checkpoint(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    save_tree(folder, {"x": torch.tensor(1.0)}, {"i": 1})

    def forgetful(tensors, path, metadata):
        save_file({name: torch.zeros_like(x) for name, x in tensors.items()}, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", forgetful)
    with pytest.raises(CheckpointError, match="read back is not what was written"):
        save_tree(folder, {"x": torch.tensor(2.0)}, {"i": 2})
    assert load_tree(folder)[1] == {"i": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_nan_reads_back_as_what_was_written(tmp_path):
    save_tree(tmp_path / "c", {"x": torch.tensor([math.nan, -0.0])}, {})
    assert load_tree(tmp_path / "c")[0]["x"].isnan().tolist() == [True, False]


def test_a_reader_whose_folder_is_swapped_meanwhile_reads_the_new_one(tmp_path, monkeypatch, capsys):
    folder, real = tmp_path / "c", checkpoint.sha256_of
    save_tree(folder, {}, {"i": 1})

    def swapping(path):
        found = real(path)
        if path.name == "meta.json" and not (tmp_path / "c.previous").exists():
            with monkeypatch.context() as inner:
                inner.setattr(checkpoint, "sha256_of", real)
                save_tree(folder, {"x": torch.ones(2)}, {"i": 2})
        return found

    monkeypatch.setattr(checkpoint, "sha256_of", swapping)
    tree, meta = load_tree(folder)
    assert (list(tree), meta) == (["x"], {"i": 2})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")])
def test_a_tensor_below_a_tensor_is_refused(names):
    with pytest.raises(CheckpointError, match="a/b: a is a tensor already|a: there are tensors below"):
        unflatten(dict.fromkeys(names, torch.zeros(1)))
