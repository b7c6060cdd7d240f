"""The study simple_env as scripts/study.py starts it."""

import json
import signal
from dataclasses import fields, replace

import pytest

from mbrl.conf.studies import load_study
from mbrl.core.errors import ConfigError
from mbrl.core.locks import held
from mbrl.study.registry import STUDIES
from mbrl.study.request import Request
from mbrl.study.simple_env_cell import Cell


def reject(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_its_axes_are_the_fields_of_a_cell():
    assert set(load_study("simple_env").axes) == {field.name for field in fields(Cell)}


def test_the_simple_environment_runs_and_is_kept(tmp_path, capsys):
    request = Request("simple_env", "debug", tmp_path, ("updates=10",), {"method": ("base", "ravl_n10_eta1")})
    rows = STUDIES["simple_env"].run(request)
    assert [row["method"] for row in rows] == ["base", "ravl_n10_eta1"]
    assert {"reward_map", "method", "seeds", "failed", "return_mean", "q_minus_oracle"} <= rows[0].keys()
    assert json.loads((tmp_path / "simple_env.json").read_text(), parse_constant=reject) == rows
    assert (tmp_path / "simple_env.png").stat().st_size > 15_000
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert STUDIES["simple_env"].run(request) == rows
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()} == kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_study_and_keeps_what_is_finished(tmp_path, capsys, number):
    request = Request("simple_env", "debug", tmp_path, ("updates=10",), {"method": ("base", "ravl_n10_eta1")})
    study, begun = STUDIES["simple_env"], []

    def stop_in_the_second(cell, plan, bar):
        begun.append(cell.method)
        if len(begun) == 2:
            signal.raise_signal(number)
        return study.train(cell, plan, bar)

    stopping = replace(study, train=stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        stopping.run(request)
    assert [row["method"] for row in json.loads((tmp_path / "simple_env.json").read_text())] == ["base"]
    assert f"the same command goes on from here: {request.command()}" in capsys.readouterr().out
    stopping.run(request)
    assert begun == ["base", "ravl_n10_eta1", "ravl_n10_eta1"]


def test_one_process_a_folder(tmp_path):
    with (
        held(tmp_path / ".lock", pytest.fail),
        pytest.raises(ConfigError, match=rf"out={tmp_path}: another process is running"),
    ):
        STUDIES["simple_env"].run(Request("simple_env", "debug", tmp_path, ("updates=10",), {}))
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("overrides", "only", "message"),
    [
        (["udpates=3"], {}, "unknown option of study=simple_env 'udpates'; did you mean 'updates'"),
        (["updates=2.5"], {}, "updates must be a whole number, got 2.5"),
        (["seeds=3"], {}, "seeds must be a list, got 3"),
        (["lr=fast"], {}, "lr must be a number, got 'fast'"),
        ([], {"method": ("bse",)}, "unknown method 'bse'; did you mean 'base'"),
        ([], {"reward_map": ("clif",)}, "unknown.*'clif'"),
    ],
)
def test_bad_input_for_the_simple_environment(overrides, only, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        STUDIES["simple_env"].run(Request("simple_env", "debug", tmp_path / "out", tuple(overrides), only))
    assert not (tmp_path / "out").exists()
