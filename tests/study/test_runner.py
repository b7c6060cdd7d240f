"""Running cells: what is kept, what is resumed, and how a cell may end."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import ConfigError, DataError, DivergenceError, MbrlError
from mbrl.core.locks import held
from mbrl.core.log import read_metrics
from mbrl.run.build import train_from_config
from mbrl.run.train import Trainer
from mbrl.study import runner
from mbrl.study.request import Request
from mbrl.study.runner import Study

FILES = {
    "penalty_correlation.json",
    "penalty_correlation.meta.json",
    "penalty_correlation.png",
    "command.txt",
    "cells",
    ".lock",
}


def draw(rows, path):
    path.write_text(f"{len(rows)} rows")


def count(folder, seeds):
    """A measure: lines in the run's log."""
    return {"lines": len(read_metrics(folder / "metrics.jsonl")), "measured_for": list(seeds)}


@pytest.fixture
def start(tmp_path, tmp_path_factory):
    """Start a study of two small cells in a folder of the test's, with a model shared by all tests."""
    cache = tmp_path_factory.getbasetemp() / "models"

    def go(*overrides, out="study", study=None, only=None):
        options = (
            f"dynamics.cache={cache}",
            "device=cpu",
            "train.eval_episodes=1",
            "train.eval_max_steps=5",
            *overrides,
        )
        request = Request("penalty_correlation", "debug", tmp_path / out, options, only)
        return (study or Study([count], draw)).run(request)

    return go


@pytest.fixture
def trained(monkeypatch):
    """The folders that were really trained in."""
    seen = []

    def train(config):
        seen.append(config.out)
        return train_from_config(config)

    monkeypatch.setattr(runner, "train_from_config", train)
    return seen


def learned(row, out):
    return flatten(load_tree(out / row["run"] / "checkpoint")[0])


def test_writes_rows_picture_and_command(start, tmp_path, capsys):
    rows = start("seeds=[0,1]")
    out = tmp_path / "study"
    assert {p.name for p in out.iterdir()} == FILES
    assert json.loads((out / "penalty_correlation.json").read_text()) == rows
    assert (out / "penalty_correlation.png").read_text() == "2 rows"
    assert [row["method"] for row in rows] == ["critics_10", "ravl"]
    for row in rows:
        assert row["status"] == "finished"
        assert row["seeds"] == row["measured_for"] == [0, 1]
        assert len(row["return_last"]) == 2
        assert row["lines"] > 0
        assert json.loads((out / row["run"] / "result.json").read_text())["status"] == "finished"
        assert "dataset" in (out / row["run"] / "log.txt").read_text()
    shown = capsys.readouterr().out
    assert "cell 1 of 2: method=critics_10" in shown
    assert "cell 2 of 2: method=ravl, about " in shown


def test_finished_cells_are_not_run_again_and_interrupted_ones_go_on(start, trained, tmp_path, monkeypatch):
    whole = start(out="whole")
    assert len(trained) == 2

    def stop_early(config):
        """As Ctrl-C does: the second cell stops after two of four updates."""
        if "ravl" not in config.out:
            return train_from_config(config)
        folder = train_from_config(replace(config, train=replace(config.train, updates=2)))
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(result | {"status": "interrupted"}))
        return folder

    with monkeypatch.context() as patch:
        patch.setattr(runner, "train_from_config", stop_early)
        with pytest.raises(KeyboardInterrupt):
            start(out="parts")
    kept = json.loads((tmp_path / "parts/penalty_correlation.json").read_text())
    assert [(row["method"], row["status"]) for row in kept] == [
        ("critics_10", "finished"),
        ("ravl", "interrupted"),
    ]

    trained.clear()
    parts = start(out="parts")
    assert [folder.split("/")[-1].split("-")[0] for folder in trained] == ["ravl"]
    a, b = learned(whole[1], tmp_path / "whole"), learned(parts[1], tmp_path / "parts")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert parts[1]["updates"] == 4

    trained.clear()
    assert start(out="parts") == parts
    assert trained == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("update", "kept"), [(2, 2), (4, 4), ("measure", 4)])
def test_a_signal_ends_the_study_with_the_cell_under_way(
    start, trained, tmp_path, monkeypatch, capsys, number, update, kept
):
    """In the midst of training, in its very last update, and while what it came to is measured."""

    def count_updates(self):
        step(self)
        if self.update == update:
            signal.raise_signal(number)

    def measure(folder, seeds):
        if update == "measure":
            signal.raise_signal(number)
        return {}

    step = Trainer._step
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", count_updates)
        with pytest.raises(KeyboardInterrupt):
            start(study=Study([measure], draw))
    assert len(trained) == 1
    (row,) = json.loads((tmp_path / "study/penalty_correlation.json").read_text())
    assert (row["method"], row["status"], row["updates"]) == ("critics_10", "interrupted", kept)
    assert (tmp_path / "study/penalty_correlation.png").read_text() == "1 rows"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "the same command" in line]
    assert f"python scripts/study.py study=penalty_correlation scale=debug out={tmp_path}/study" in line
    assert [row["status"] for row in start()] == ["finished", "finished"]


def test_a_signal_before_training_ends_the_study(start, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "train_from_config", lambda config: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        start()
    (row,) = json.loads((tmp_path / "study/penalty_correlation.json").read_text())
    assert (row["status"], row["updates"]) == ("interrupted", None)


def test_a_cell_that_diverges_as_a_stop_is_asked_for_ends_the_study(start, trained, monkeypatch):
    def stop(self, *args):
        signal.raise_signal(signal.SIGINT)
        raise DivergenceError("Q is lost")

    monkeypatch.setattr(Trainer, "_step", stop)
    with pytest.raises(KeyboardInterrupt):
        start()
    assert len(trained) == 1


def test_one_process_a_folder(start, trained, tmp_path):
    with (
        held(tmp_path / "study/.lock", pytest.fail),
        pytest.raises(ConfigError, match=rf"out={tmp_path}/study: another process is running"),
    ):
        start()
    assert trained == []
    assert [p.name for p in (tmp_path / "study").iterdir()] == [".lock"]
    assert [row["status"] for row in start()] == ["finished", "finished"]


def test_other_options_are_other_cells(start, trained):
    start("train.updates=1", only={"method": ("ravl",)})
    start("train.updates=2", only={"method": ("ravl",)})
    assert len(set(trained)) == 2


def test_diverged_cells_are_recorded_and_the_others_go_on(start, trained, tmp_path):
    rows = start("train.q_limit=1e-12")
    assert [row["status"] for row in rows] == ["diverged", "diverged"]
    assert all("q_limit" in row["diagnosis"] or "1e-12" in row["diagnosis"] for row in rows)
    assert (tmp_path / "study/penalty_correlation.png").exists()
    assert len(trained) == 2
    assert start("train.q_limit=1e-12") == rows  # and are not tried again
    assert len(trained) == 2


def test_a_cell_that_fails_is_recorded_and_tried_again(start, tmp_path, monkeypatch):
    def fail_first(config):
        if "ravl" in config.out:
            return train_from_config(config)
        raise DataError("no such column")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "train_from_config", fail_first)
        with pytest.raises(DataError, match="1 of 2 cells failed, method=critics_10 with: no such column"):
            start()
    rows = json.loads((tmp_path / "study/penalty_correlation.json").read_text())
    assert [(row["status"], row["diagnosis"]) for row in rows] == [
        ("failed", "no such column"),
        ("finished", None),
    ]
    assert rows[0]["return_last"] is None
    assert rows[0]["dataset"] == "sample"
    assert [row["status"] for row in start()] == ["finished", "finished"]


def test_a_measurement_that_fails_is_a_failed_cell(start, tmp_path):
    def measure(folder, seeds):
        raise MbrlError("cannot be measured")

    with pytest.raises(MbrlError, match="2 of 2 cells failed"):
        start(study=Study([measure], draw))
    rows = json.loads((tmp_path / "study/penalty_correlation.json").read_text())
    assert {row["diagnosis"] for row in rows} == {"cannot be measured"}
    assert rows[0]["return_last"] is not None


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("dataset.source=/none/such.hdf5", MbrlError, "such.hdf5"),
        ("train.upadtes=1", ConfigError, "did you mean 'train.updates'"),
    ],
)
def test_bad_input_ends_before_any_work(override, error, message, start, trained, tmp_path):
    with pytest.raises(error, match=message):
        start(override)
    assert trained == []
    assert not (tmp_path / "study").exists()
