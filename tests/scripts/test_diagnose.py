"""The command: an audit end to end, and how mistakes end."""

import json
import re
import runpy
from pathlib import Path

import pytest

from mbrl.conf import compose
from mbrl.run.build import train_from_config

SCRIPT = Path(__file__).parents[2] / "scripts" / "diagnose.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnose")
    where = [f"out={folder / 'run'}", f"dynamics.cache={folder / 'cache'}"]
    return train_from_config(compose([*where, "device=cpu", "preset=debug", "agent=sac", "seeds=[0,1]"]))


@pytest.fixture
def diagnose(monkeypatch):
    monkeypatch.setattr("mbrl.diagnose.audit.pictures", lambda *arguments: {})  # drawn in other tests

    def call(*arguments):
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return call


def test_an_audit_says_its_verdict_and_where_the_page_is(run, diagnose, tmp_path, capsys):
    diagnose(
        run, "--starts", 10, "--mc-horizon", 5, "--seeds", 1, "--device", "cpu", "--out", tmp_path / "out"
    )
    found = json.loads((tmp_path / "out/audit.json").read_text())
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == [found["verdict"]["sentence"], str(tmp_path / "out/audit.html")]
    assert (found["seeds"], found["about"]["starts"], found["about"]["mc_horizon"]) == ([1], 10, 5)
    assert not (run / "diagnose").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}"], "error: .*: no run here"),
        (["{run}", "--checkpoint", "best"], "error: .*: no checkpoint 'best'; there: checkpoint"),
        (["{run}", "--seeds", "4"], r"error: .* has seeds \[0, 1\], not \[4\]"),
        (["{run}", "--starts", "0"], "error: starts=0"),
        (["{run}", "--device", "tpu"], "error: device 'tpu'"),
    ],
)
def test_mistakes_end_with_one_line(arguments, message, run, diagnose, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        diagnose(*(a.format(run=run, tmp=tmp_path) for a in arguments))
    printed = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2
    assert len(printed) == 1
    assert re.match(message, printed[0])
