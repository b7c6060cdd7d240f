"""scripts/train.py -m as its user sees it: what is listed at the end, exit codes, and starting again."""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mbrl.run.train import Trainer

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    *("preset=debug", "agent=bc", "source=none", "train.real_ratio=1", "device=cpu"),
    *("train.updates=2", "train.eval_episodes=1", "train.eval_max_steps=2", "out=grid"),
)
Start = Callable[..., int]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run train.py in an empty folder; the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", "-m", *TINY, *argv])
        try:
            runpy.run_path(str(ROOT / "scripts/train.py"), run_name="__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def states(text: str) -> list[tuple[str, str]]:
    """(status, name without digest) of the last list that was printed."""
    lines = [line.split() for line in text.rpartition("grid sweep in grid:")[2].splitlines()]
    return [(line[0], line[1].rstrip(":")[:-9]) for line in lines if len(line) > 1 and "=" in line[1]]


def test_a_failure_does_not_stop_the_others_and_is_listed(start: Start, capsys) -> None:
    assert start("dataset.source=choice(sample,gone.hdf5)", "seeds=[0],[1]") == 1
    text = capsys.readouterr().out
    assert states(text) == [
        ("finished", "source=sample-seeds=0"),
        ("finished", "source=sample-seeds=1"),
        ("failed", "source=gone.hdf5-seeds=0"),
        ("failed", "source=gone.hdf5-seeds=1"),
    ]
    assert text.count(": DataError: unknown file 'gone.hdf5'") == 2
    assert text.endswith("2 failed, 2 finished\n")


def test_ctrl_c_saves_the_point_under_way_and_the_same_command_goes_on(
    start: Start, capsys, monkeypatch
) -> None:
    step = Trainer._step

    def stepping(trainer: Trainer) -> None:
        step(trainer)
        if trainer.seeds == (1,):
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", stepping)
        assert start("seeds=[0],[1],[2]") == 130
    first = capsys.readouterr()
    assert first.err == "interrupted\n"
    assert states(first.out) == [("finished", "seeds=0"), ("interrupted", "seeds=1"), ("missing", "seeds=2")]
    assert start("seeds=[0],[1],[2]") == 0
    again = capsys.readouterr().out
    assert "seeds=0-" not in again.partition("grid sweep in grid:")[0], "it was not started again"
    assert [status for status, _ in states(again)] == ["finished"] * 3
    assert start("seeds=[0],[1],[2]") == 0
    assert "started" not in capsys.readouterr().out


def test_a_bug_is_listed_too_and_its_traceback_shown(start: Start, capsys, monkeypatch) -> None:
    def broken(trainer: Trainer) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Trainer, "_step", broken)
    with pytest.raises(ZeroDivisionError):
        start("seeds=[0],[1]")
    assert [status for status, _ in states(capsys.readouterr().out)] == ["failed", "failed"]


def test_the_launcher_of_hydra_says_the_same(start: Start, capsys) -> None:
    assert start("dataset.source=choice(sample,gone.hdf5)", "hydra/launcher=basic") == 1
    assert [status for status, _ in states(capsys.readouterr().out)] == ["finished", "failed"]


def test_a_mistake_is_found_before_any_work(start: Start, capsys) -> None:
    assert start("seeds=[0],[1],[x]") == 2
    assert start("+grid=rval") == 2
    assert start("--dry-run", "agent.lr=interval(0,1)") == 2
    assert capsys.readouterr().out == ""
    assert list(Path().iterdir()) == []


def test_a_dry_run_writes_nothing(start: Start, capsys) -> None:
    assert start("--dry-run", "seeds=[0],[1],[0]") == 0
    text = capsys.readouterr().out
    assert "listed twice, run once: seeds=0-" in text
    assert states(text)[:2] == [("missing", "seeds=0"), ("missing", "seeds=1")]
    assert "All 2 one after the other" in text
    assert list(Path().iterdir()) == []


def test_one_run_has_a_dry_run_too(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--dry-run", *TINY[:-1], "out=mine/run"])
    runpy.run_path(str(ROOT / "scripts/train.py"), run_name="__main__")
    text = capsys.readouterr().out
    assert text.startswith("grid of one run in mine:\n  missing      run\n")
    assert "All 1 one after the other" in text
    assert list(Path().iterdir()) == []
