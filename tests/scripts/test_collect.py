"""The command: both ways of collecting, end to end, and its messages."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mbrl.datasets import load

SCRIPT = Path(__file__).parents[2] / "scripts" / "collect.py"
PENDULUM = "InvertedDoublePendulum-v5"


@pytest.fixture(autouse=True)
def _minari_root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


@pytest.fixture
def collect(monkeypatch, tmp_path):
    def run(*arguments, out=tmp_path / "out"):
        line = [str(SCRIPT), "--env", PENDULUM, "--out", str(out), *map(str, arguments)]
        monkeypatch.setattr("sys.argv", line)
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return out

    return run


TRAINING = ("--train-steps", 60, "--warmup", 20, "--batch-size", 8, "--hidden", 8, "--medium-step", 40)


def test_online_sac_in_every_kind(collect, capsys):
    kinds = ("random", "medium", "medium-replay", "medium-expert", "expert")
    out = collect(*TRAINING, "--record", 25, "--kinds", *kinds)
    lengths = {k: len(load(out / f"{PENDULUM.lower()}-{k}-v0.hdf5", verbose=False)) for k in kinds}
    expected = {"random": 25, "medium": 25, "medium-replay": 40, "medium-expert": 50, "expert": 25}
    assert lengths == expected
    assert {k: len(load(f"minari/collected/{PENDULUM}/{k}-v0", verbose=False)) for k in kinds} == expected
    assert "medium-replay-v0: 40 transitions" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_file(collect, tmp_path):
    name = f"{PENDULUM.lower()}-medium-replay-v0.hdf5"
    files = []
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        collect(*TRAINING, "--formats", "hdf5", "--seed", seed, out=tmp_path / out)
        files.append((tmp_path / out / name).read_bytes())
    assert files[0] == files[1] != files[2]


def test_policy_file(collect, tmp_path):
    names = {"hidden": np.array("tanh"), "out": np.array("clip"), "time_feature": np.array(False)}
    scale = {"obs_mean": np.zeros(9), "obs_scale": np.ones(9), "obs_clip": np.array(np.inf)}
    np.savez(tmp_path / "half.npz", W0=np.zeros((1, 9)), b0=np.array([0.5]), **names, **scale)
    out = collect("--policy", tmp_path / "half.npz", "--record", 40, "--noise", 0.1)
    data = load(out / f"{PENDULUM.lower()}-half-v0.hdf5", verbose=False)
    assert data.behaviour == "half.npz, noise 0.1"
    assert data.transitions.action.mean().item() == pytest.approx(0.5, abs=0.1)
    assert data.transitions.action.std().item() == pytest.approx(0.1, rel=0.4)


def test_mistakes_end_with_one_line(collect, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    mistakes = [
        ("error: unknown environment .* did you mean", ("--env", "InvertedDublePendulum-v5"), {}),
        ("error: cannot write to the folder", (), {"out": tmp_path / "file" / "x"}),
        ("error: no policy file", ("--policy", tmp_path / "none.npz"), {}),
        ("error: .*warmup", ("--train-steps", 10), {}),
    ]
    for message, arguments, options in mistakes:
        with pytest.raises(SystemExit) as stop:
            collect(*arguments, **options)
        printed = capsys.readouterr().err.strip().splitlines()
        assert stop.value.code == 2
        assert re.match(message, printed[-1])
