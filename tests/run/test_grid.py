"""One point of a grid: done once, resumed, left alone once it has ended, and how it may fail."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mbrl.conf import compose
from mbrl.conf.files import digest_of
from mbrl.conf.grid import GridPlan, plan_grid
from mbrl.conf.stack import GridPoint
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import CheckpointError, DataError
from mbrl.core.locks import held
from mbrl.core.log import read_metrics
from mbrl.run.build import grid, train_from_config
from mbrl.run.build.grid import report, run_point, settled, state_of
from mbrl.run.train import Trainer

TINY = (
    *("preset=debug", "agent=bc", "source=none", "train.real_ratio=1", "device=cpu"),
    *("train.eval_episodes=1", "train.eval_max_steps=2"),
)


@pytest.fixture
def make(tmp_path: Path):
    """The plan of a command line, its folder in the test's."""

    def plan(*overrides: str) -> GridPlan:
        return plan_grid([*TINY, f"out={tmp_path}/grid", *overrides])

    return plan


@pytest.fixture
def point(make):
    return make("seeds=choice([0])").points[0].config


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    """Sends a signal to this process after so many updates; returns how to switch that off."""

    def at(update: int, number: int = signal.SIGINT):
        step = Trainer._step

        def stepping(trainer: Trainer) -> None:
            step(trainer)
            if trainer.update == update:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Trainer, "_step", stepping)
        return lambda: monkeypatch.setattr(Trainer, "_step", step)

    return at


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and its bytes."""
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def starts(folder: Path | str) -> int:
    return (Path(folder) / "log.txt").read_text().count("# started")


def tensors(folder: Path | str) -> dict[str, torch.Tensor]:
    return flatten(load_tree(Path(folder) / "checkpoint")[0])


def test_a_point_runs_and_is_then_left_alone(point, tmp_path, capsys) -> None:
    assert state_of(point) == ("missing", "")
    assert run_point(point, wait=False) == "finished"
    assert state_of(point) == ("finished", "")
    before = snapshot(tmp_path)
    for wait in (False, True):
        assert run_point(point, wait=wait) == "finished"
    assert snapshot(tmp_path) == before, "not a file of an ended run is touched"
    name = Path(point.out).name
    assert capsys.readouterr().out.splitlines() == [f"{name}: started", f"{name}: finished"]
    assert starts(point.out) == 1


def test_a_read_only_finished_run_is_fine(point) -> None:
    run_point(point, wait=False)
    folder = Path(point.out)
    for path in (folder, folder.parent / grid.CLAIMS):
        path.chmod(0o500)
    try:
        assert run_point(point, wait=False) == "finished"
    finally:
        for path in (folder, folder.parent / grid.CLAIMS):
            path.chmod(0o700)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_point_is_saved_and_resumed(point, tmp_path, interrupt, number) -> None:
    again = interrupt(3, number)
    with pytest.raises(KeyboardInterrupt):
        run_point(point, wait=False)
    assert state_of(point) == ("interrupted", "")
    assert json.loads((Path(point.out) / "result.json").read_text())["updates"] == 3
    again()
    assert run_point(point, wait=False) == "finished"
    assert starts(point.out) == 2
    whole = train_from_config(replace(point, out=str(tmp_path / "whole")))
    theirs, ours = tensors(whole), tensors(point.out)
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
    rows = [(row["update"], row["seed"]) for row in read_metrics(Path(point.out) / "metrics.jsonl")]
    assert rows == [(r["update"], r["seed"]) for r in read_metrics(whole / "metrics.jsonl")]


def test_a_stop_in_the_last_update_finishes_the_point_and_stops_the_grid(point, interrupt) -> None:
    interrupt(4)
    with pytest.raises(KeyboardInterrupt):
        run_point(point, wait=False)
    assert state_of(point).status == "finished"


def test_a_stop_before_the_loop_is_none_of_the_points_failures(point, monkeypatch) -> None:
    def fitting(config):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(grid, "train_from_config", fitting)
    with pytest.raises(KeyboardInterrupt):
        run_point(point, wait=False)
    assert state_of(point).status == "missing"


def test_a_failing_point_is_noted_and_tried_again(point, monkeypatch, capsys) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(grid, "train_from_config", _raiser(DataError("a.hdf5: no rows")))
        assert run_point(point, wait=False) == "failed"
    assert "failed: a.hdf5: no rows" in capsys.readouterr().out
    failure = json.loads((Path(point.out) / "failure.json").read_text())
    assert failure == {"error": "a.hdf5: no rows", "type": "DataError"}
    assert state_of(point) == ("failed", "DataError: a.hdf5: no rows")
    assert run_point(point, wait=False) == "finished"
    assert not (Path(point.out) / "failure.json").exists()
    assert state_of(point) == ("finished", "")


def test_a_bug_is_noted_and_shown(point, monkeypatch) -> None:
    monkeypatch.setattr(grid, "train_from_config", _raiser(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError):
        run_point(point, wait=False)
    assert state_of(point) == ("failed", "ZeroDivisionError: bug")


def test_a_run_that_diverges_has_ended(make, tmp_path) -> None:
    plan = make("agent=sac", "train.q_limit=1e-9", "train.checkpoint_every=choice(1)")
    config = plan.points[0].config
    assert run_point(config, wait=False) == "diverged"
    state = state_of(config)
    assert state.status == "diverged"
    assert "beyond train.q_limit" in state.why
    before = snapshot(tmp_path)
    assert run_point(config, wait=False) == "diverged"
    assert snapshot(tmp_path) == before
    assert report(plan) is False


def test_damaged_notes_are_no_ends(point) -> None:
    run_point(point, wait=False)
    (Path(point.out) / "result.json").write_text("{")
    assert state_of(point).status == "interrupted"
    (Path(point.out) / "failure.json").write_text("[]")
    assert "failure.json is damaged" in state_of(point).why
    assert run_point(point, wait=False) == "finished"


def test_a_point_held_elsewhere_is_passed_by(point, monkeypatch) -> None:
    monkeypatch.setattr(grid, "train_from_config", lambda config: pytest.fail("trained"))
    claim = Path(point.out).parent / ".claims" / f"{digest_of(point)}.lock"
    with held(claim, lambda: None):
        assert run_point(point, wait=False) == "busy"
        assert state_of(point) == ("busy", "")
    assert state_of(point) == ("missing", "")


def test_a_look_at_the_claim_does_not_keep_a_process_off(point, monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    claim = Path(point.out).parent / ".claims" / f"{digest_of(point)}.lock"
    claim.parent.mkdir(parents=True)
    claim.touch()
    looker = claim.open()
    fcntl.flock(looker, fcntl.LOCK_SH)
    monkeypatch.setattr(grid.time, "sleep", lambda seconds: looker.close())
    assert run_point(point, wait=False) == "finished"


def test_waiting_looks_again_afterwards(point, monkeypatch, capsys) -> None:
    """Another process, here the one that says it waits, ends the point while this one waits for it."""
    claim = Path(point.out).parent / ".claims" / f"{digest_of(point)}.lock"
    holder = held(claim, lambda: None)
    holder.__enter__()

    def other() -> None:
        train_from_config(point)
        holder.__exit__(None, None, None)

    monkeypatch.setattr(grid, "_say_waiting", other)
    assert run_point(point, wait=True) == "finished"
    assert not (Path(point.out) / "log.txt").exists(), "it did not train"


def test_a_point_keeps_the_folder_it_was_first_run_in(make) -> None:
    (first,) = make("seeds=[3]", "agent.lr=choice(0.1)").points
    run_point(first.config, wait=False)
    (again,) = make("seeds=choice([3])", "agent.lr=0.1").points
    assert again.name != first.name
    assert again.name[-8:] == first.name[-8:]
    assert settled(again.config).out == first.config.out
    assert run_point(again.config, wait=False) == "finished"
    assert not Path(again.config.out).exists()
    assert starts(first.config.out) == 1


def test_a_stack_is_a_point_of_several_runs(make, interrupt) -> None:
    (stack,) = make("agent=sac", "stack={agent.eta: [0,1]}", "train.batch_size=choice(8)").points
    again = interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        run_point(stack.config, wait=False)
    assert state_of(stack.config).status == "interrupted"
    again()
    assert run_point(stack.config, wait=False) == "finished"
    (Path(stack.config.out) / "eta=1/result.json").unlink()
    assert state_of(stack.config).status == "interrupted", "one of its runs has no result"


def test_a_folder_that_cannot_be_written(point, tmp_path) -> None:
    (tmp_path / "grid").write_text("")
    with pytest.raises(CheckpointError, match="cannot write a lock file"):
        run_point(point, wait=False)


def test_a_run_folder_that_cannot_be_written_goes_up_as_the_error(point) -> None:
    Path(point.out).parent.mkdir(parents=True)
    Path(point.out).write_text("")
    with pytest.raises(grid.ConfigError, match="cannot be written"):
        run_point(point, wait=False)


def test_the_report_names_every_point(make, monkeypatch, capsys) -> None:
    plan = make("seeds=[0],[1],[2]")
    run_point(plan.points[0].config, wait=False)
    with monkeypatch.context() as patch:
        patch.setattr(grid, "train_from_config", _raiser(DataError("no rows")))
        run_point(plan.points[1].config, wait=False)
    capsys.readouterr()
    assert report(plan) is True
    names = [p.name for p in plan.points]
    assert capsys.readouterr().out.splitlines() == [
        f"grid sweep in {plan.folder}:",
        f"  finished     {names[0]}",
        f"  failed       {names[1]}: DataError: no rows",
        f"  missing      {names[2]}",
        "1 failed, 1 finished, 1 missing",
    ]
    assert report(GridPlan("x", plan.folder, plan.points[:1])) is False


def test_presets_that_overwrite_do_not_overwrite_in_grids(point) -> None:
    assert compose(TINY).overwrite
    run_point(point, wait=False)
    (Path(point.out) / "mine.txt").write_text("kept")
    (Path(point.out) / "result.json").unlink()
    assert run_point(point, wait=False) == "finished"
    assert (Path(point.out) / "mine.txt").exists()


def test_a_single_run_has_a_state_too(tmp_path) -> None:
    config = compose([*TINY, f"out={tmp_path}/run"])
    assert report(GridPlan("run", tmp_path, (GridPoint("run", config),))) is False
    train_from_config(config)
    assert state_of(config).status == "finished"


def _raiser(error: Exception):
    def fail(config) -> None:
        raise error

    return fail
