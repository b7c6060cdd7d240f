"""The command: a study end to end, its help, and how mistakes end."""

import json
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "study.py"


@pytest.fixture
def study(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


def test_a_study_from_the_command_line(study, tmp_path, capsys):
    options = (
        "train.updates=1",
        "train.eval_episodes=1",
        "train.eval_max_steps=5",
        "device=cpu",
        "seeds=[4,5]",
    )
    study("study=collapse", f"out={tmp_path}/out", "cells.method=[base]", *options)
    out = tmp_path / "out"
    (row,) = json.loads((out / "collapse.json").read_text())
    assert (row["method"], row["seeds"], row["updates"], row["status"]) == ("base", [4, 5], 1, "finished")
    assert f"{out}/collapse.json, picture {out}/collapse.png" in capsys.readouterr().out
    command = (out / "command.txt").read_text()
    assert command.startswith(
        f"python scripts/study.py study=collapse scale=debug out={out} 'cells.method=[base]'"
    )


@pytest.mark.parametrize("arguments", [(), ("--help",), ("study=collapse", "-h")])
def test_help(study, capsys, arguments):
    study(*arguments)
    assert "usage: study.py study=NAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study=colapse"], "error: unknown study 'colapse'; did you mean 'collapse'?"),
        (["study=collapse", "cells.method=[rvl]"], "error: unknown cells.method 'rvl'; did you mean 'ravl'"),
        (
            ["study=collapse", "train.upadtes=1"],
            "error: unknown option 'train.upadtes'; did you mean 'train.updates'",
        ),
    ],
)
def test_a_mistake_ends_in_one_line_before_any_work(study, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        study(*arguments)
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
