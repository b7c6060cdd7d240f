"""The command: a part end to end, its help, and how mistakes end."""

import json
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


@pytest.fixture
def benchmark(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


def test_a_part_from_the_command_line(benchmark, tmp_path, capsys):
    options = ("scale=debug", "repeat=2", "threads=1", "device=cpu")
    benchmark("only=buffer/sample-S1", f"out={tmp_path}/out", *options)
    rows = json.loads((tmp_path / "out/benchmark.json").read_text())
    assert [(row["case"], row["mode"]) for row in rows] == [
        ("buffer/sample-S1", "eager"),
        ("buffer/sample-S1", "naive"),
    ]
    shown = capsys.readouterr().out
    assert "buffer/sample-S1  cpu     naive" in shown
    assert f"{tmp_path}/out/benchmark.json, picture {tmp_path}/out/benchmark.png" in shown
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "benchmark.json",
        "benchmark.meta.json",
        "benchmark.png",
        "benchmark.txt",
    ]


@pytest.mark.parametrize("arguments", [("--help",), ("only=update", "-h")])
def test_help(benchmark, capsys, arguments):
    benchmark(*arguments)
    assert "usage: benchmark.py [only=[PART,...]]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["only=updates"], "error: unknown part 'updates'; did you mean 'update'?"),
        (["repeats=3"], "error: unknown option 'repeats'; did you mean 'repeat'"),
        (["modes=[eagr]", "device=cpu"], "error: unknown mode 'eagr'; did you mean 'eager'"),
        (["device=gpu"], "error: device 'gpu'"),
        (["peers=/nowhere/python"], "error: peers=/nowhere/python: cannot be run"),
    ],
)
def test_a_mistake_ends_in_one_line_before_any_work(
    benchmark, capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        benchmark(*arguments)
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
