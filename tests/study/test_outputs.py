"""The files of a study."""

import json
import math

from mbrl.study.outputs import plain, write_command, write_rows
from mbrl.study.request import Request


def reject(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_rows_are_json_without_nan(tmp_path):
    rows = [
        {"method": "a", "seeds": [0], "x": [math.nan, 1.5], "curve": [[math.inf, -math.inf]]},
        {"y": (2, None)},
    ]
    path = write_rows(Request("s", "debug", tmp_path), rows)
    assert path == tmp_path / "s.json"
    assert json.loads(path.read_text(), parse_constant=reject) == [
        {"method": "a", "seeds": [0], "x": [None, 1.5], "curve": [[None, None]]},
        {"y": [2, None]},
    ]
    assert path.read_text().count("\n") == 2  # a row a line
    assert [p.name for p in tmp_path.iterdir()] == ["s.json"]


def test_no_rows_are_an_empty_list(tmp_path):
    assert json.loads(write_rows(Request("s", "debug", tmp_path), []).read_text()) == []


def test_plain_makes_keys_text():
    assert plain({1: {2: math.nan}}) == {"1": {"2": None}}


def test_the_command_of_each_study_is_kept(tmp_path):
    write_command(Request("collapse", "debug", tmp_path, ("seeds=[0]",)))
    write_command(Request("ensemble", "cpu", tmp_path))
    write_command(Request("collapse", "cpu", tmp_path))
    assert (tmp_path / "command.txt").read_text().splitlines() == [
        f"python scripts/study.py study=ensemble scale=cpu out={tmp_path}",
        f"python scripts/study.py study=collapse scale=cpu out={tmp_path}",
    ]
    meta = json.loads((tmp_path / "collapse.meta.json").read_text())
    assert meta["scale"] == "cpu"
    assert "preset=cpu" in meta["settings"]["overrides"]
    assert {"study", "command", "about", "source", "versions"} <= meta.keys()
    assert "python" in meta["versions"]
