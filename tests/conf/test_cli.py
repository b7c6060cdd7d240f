"""The command line: help, runs, sweeps, and how each kind of failure ends."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from mbrl.conf.cli import run_cli
from mbrl.conf.schema import Config, EnsembleConf, SacConf, TrainConf
from mbrl.core.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., int]


class Task:
    """Remembers the configurations it was called with; fails where told to."""

    def __init__(self) -> None:
        self.seen: list[Config] = []
        self.fail: dict[int, BaseException] = {}

    def __call__(self, config: Config) -> None:
        self.seen.append(config)
        if config.train.updates in self.fail:
            raise self.fail[config.train.updates]


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def start(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run the command line in an empty folder; the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", *argv])
        try:
            run_cli(task, about="About it.")
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def test_one_run(start: Start, task: Task) -> None:
    assert start("agent=bc", "seeds=[4,2]") == 0
    (config,) = task.seen
    assert (config.agent.label, config.seeds, config.out) == ("bc", [4, 2], "runs/sample-bc")
    assert list(Path().iterdir()) == [], "making the run folder is the trainer's business"


def test_flags_and_options_in_any_order(start: Start, task: Task, tmp_path: Path) -> None:
    (tmp_path / "mine/agent").mkdir(parents=True)
    (tmp_path / "mine/agent/own.yaml").write_text("defaults:\n  - /schema/agent@_here_: sac\nlabel: own\n")
    argv = ["agent=own", "--config-dir", "mine", "dataset.env=Ant-v5", "dataset.env_kwargs={a: 1}"]
    assert start(*argv) == 0
    assert (task.seen[0].agent.label, task.seen[0].dataset.env_kwargs) == ("own", {"a": 1})
    assert sys.argv == ["train.py", *argv]
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_help_names_every_group_and_option(
    start: Start, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--help", "agent.eta=0.25") == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: train.py [GROUP=OPTION ...]")
    assert "About it." in text
    assert "edac/hopper-medium-v2" in text
    assert "  ravl      RAVL's number of critics N_c" in text
    assert start("--help", "-m", "+grid=ravl", "agent=bc,sac") == 0
    assert "  agent.eta=0.25 " in text
    for prefix, kind in (("agent", SacConf), ("dynamics", EnsembleConf), ("train", TrainConf)):
        for f in fields(kind):
            assert f.name == "name" or (f"{prefix}.{f.name}=" in text and f.metadata["help"] in text)
    assert task.seen == []


def test_the_configuration_can_be_looked_at(
    start: Start, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--cfg", "job", "--resolve", "agent=bc") == 0
    assert yaml.safe_load(capsys.readouterr().out)["out"] == "runs/sample-bc"
    assert start("--cfg", "job", "agnet=bc") == 2
    assert task.seen == []


def test_a_mistake_ends_in_one_line_before_any_work(
    start: Start, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("agnet.eta=1") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: unknown option 'agnet.eta'; did you mean 'agent.eta'?")
    assert err.count("\n") == 1
    assert task.seen == []
    assert list(Path().iterdir()) == []


def test_an_output_folder_that_cannot_be(
    start: Start, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    assert start("out=taken/run") == 2
    assert "taken is a file, not a folder; choose another out=" in capsys.readouterr().err
    assert task.seen == []


def test_how_a_run_can_fail(start: Start, task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    task.fail = {
        1: DataError("a.hdf5: no key 'actions'"),
        2: KeyboardInterrupt(),
        3: ZeroDivisionError("bug"),
    }
    assert start("train.updates=1") == 2
    assert capsys.readouterr().err == "error: a.hdf5: no key 'actions'\n"
    assert start("train.updates=2") == 130
    assert capsys.readouterr().err == "interrupted\n"
    with pytest.raises(ZeroDivisionError):
        start("train.updates=3")


def test_a_sweep_runs_every_combination_in_its_own_folder(start: Start, task: Task) -> None:
    assert start("-m", "agent=sac,ravl", "train.updates=1", "out=grid") == 0
    assert [(c.agent.label, c.train.updates) for c in task.seen] == [("sac", 1), ("ravl", 1)]
    assert [c.out[:-9] for c in task.seen] == ["grid/agent=sac", "grid/agent=ravl"]


def test_hydra_launches_where_it_is_asked_to(start: Start, task: Task) -> None:
    assert start("-m", "seeds=[0],[1,2]", "out='a b'", "hydra/launcher=basic") == 0
    assert [(c.seeds, c.out[:-9]) for c in task.seen] == [([0], "a b/seeds=0"), ([1, 2], "a b/seeds=1-2")]
    assert [path.name for path in Path("a b").iterdir()] == [".hydra"]


def test_what_one_run_has_no_use_for(start: Start, task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, expected in (
        (["+grid=debug"], "+grid=debug is for grids: add -m"),
        (["hydra/launcher=ray"], "hydra/launcher=ray is for grids: add -m"),
        (["agent.eta=1,2"], "agent.eta=1,2 lists several values: add -m"),
        (["--config-name", "other"], "--config-name is not used here"),
        (
            ["-m", "agent.eta=1,2", "--cfg", "job"],
            "--cfg shows one configuration; --dry-run shows the points of a grid",
        ),
        (["-m", "hydra/launcher=nobody"], "cannot launch: .*nobody"),
    ):
        assert start(*argv) == 2
        err = capsys.readouterr().err
        assert re.match(f"error: {re.escape(expected) if '.*' not in expected else expected}", err), err
        assert err.count("\n") == 1
    assert task.seen == []


def test_a_sweep_is_checked_before_its_first_run(
    start: Start, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("agent.eta=1,2,x", "-m") == 2
    assert capsys.readouterr().err == "error: agent.eta: expected float, got 'x' (in the point eta=x)\n"
    assert task.seen == []


def test_a_sweep_goes_on_after_a_failed_run(
    start: Start, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    task.fail = {1: DataError("diverged")}
    assert start("-m", "train.updates=1,2", "out=grid") == 2
    assert [c.train.updates for c in task.seen] == [1, 2]
    assert re.search(r"error in updates=1-\w{8}: diverged", capsys.readouterr().err)


def test_the_script_answers_a_mistake_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/train.py"), "agent=rval"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown agent option 'rval'; did you mean 'ravl'? known: bc")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "argument", "expected"),
    [
        ("train_dynamics.py", "dynamics.elites=8", "error: dynamics.elites must be at most"),
        ("evaluate.py", "nowhere", "error: nowhere/config.yaml cannot be read"),
    ],
)
def test_other_scripts_answer_a_mistake(
    script: str,
    argument: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [script, argument])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / "scripts" / script), run_name="__main__")
    err = capsys.readouterr().err
    assert err.startswith(expected)
    assert err.count("\n") == 1
