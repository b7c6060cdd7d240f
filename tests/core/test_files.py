"""Files appear in whole or not at all."""

import hashlib
import os

import pytest

from mbrl.core import files
from mbrl.core.errors import ConfigError
from mbrl.core.files import sha256_of, write_output, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / "a.json"
    for content in ("one", "zwei ü", b"\xff\n"):
        write_whole(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("step", ["flush", "replace"])
def test_a_failure_leaves_the_old_one(tmp_path, monkeypatch, step):
    path = tmp_path / "a.json"
    write_whole(path, "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"flush": (files, "flush"), "replace": (os, "replace")}[step], full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_contents_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    order, replace = [], os.replace
    monkeypatch.setattr(files, "flush", lambda path: order.append(path.name))
    monkeypatch.setattr(os, "replace", lambda a, b: order.append("replace") or replace(a, b))
    write_whole(tmp_path / "a", "text")
    assert order == ["a.fresh", "replace", tmp_path.name]


def test_an_output_makes_its_folder_and_names_what_cannot_be_written(tmp_path):
    write_output(tmp_path / "new/a.md", "text")
    assert (tmp_path / "new/a.md").read_text() == "text"
    with pytest.raises(ConfigError, match=r"a.md/b.md: cannot be written .*choose another folder"):
        write_output(tmp_path / "new/a.md/b.md", "text")


@pytest.mark.parametrize("size", [0, 5, files.CHUNK, files.CHUNK + 1])
def test_the_digest_is_that_of_all_bytes(tmp_path, size):
    data = bytes(i % 251 for i in range(size))
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
