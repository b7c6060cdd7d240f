"""The command line on two hundred finished runs: in time, and within memory."""

import resource
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.diagnose.runs.folders import write_run

SCRIPT = Path(__file__).parents[3] / "scripts/report.py"


def report(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=240
    )


def test_two_hundred_runs(tmp_path):
    for i in range(200):
        write_run(
            tmp_path / f"grid/{'team' if i % 2 else 'hopper'}-{i:03d}",
            eta=float(i // 20),
            horizon=i // 2 % 10,
            dataset="team" if i % 2 else "hopper",
            agents=2 * (i % 2),
            evaluations=20,
        )
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = report(tmp_path / "grid", "--merge", "datasets", "--out", tmp_path / "out")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{time.monotonic() - began:.1f} s, {used.ru_utime - before:.1f} s of CPU, {used.ru_maxrss >> 10} MiB"
    )
    assert done.returncode == 0, done.stderr
    assert "200 runs on hopper, team; seeds: 600 finished" in done.stdout
    assert (tmp_path / "out/scores.csv").read_text().count("\n") == 201
    assert used.ru_utime - before < 30  # of the processor: other work on the machine does not count
    assert used.ru_maxrss < 2 << 20  # KiB


def here(monkeypatch, *arguments):
    """The same in this process, which has imported what it needs."""
    monkeypatch.setattr(sys, "argv", ["report.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_a_user_is_told_what_is_wrong_in_one_line(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", mujoco="3.3.2")
    with pytest.raises(SystemExit, match="2"):
        here(monkeypatch, tmp_path, "--out", tmp_path / "out")
    told = capsys.readouterr().err
    assert told.startswith("error: the version of mujoco differs: 3.4.0 (")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_the_picture_of_a_few_runs(tmp_path, monkeypatch, capsys, name):
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", eta=4.0)]
    here(monkeypatch, *runs, "--picture", tmp_path / name, "--out", tmp_path / "out")
    assert (tmp_path / name).stat().st_size > 10_000
    assert (tmp_path / "out/report.html").is_file()
    assert "| b | 2 | 20 | finished | 24 | 23 | 26 | 5.0 |" in capsys.readouterr().out
