import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import mbrl.core.locks as locks
import mbrl.dynamics.cache as module
from mbrl.core.errors import CheckpointError
from mbrl.core.types import EnvSpec
from mbrl.dynamics.cache import cache_key, fit_cached
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.fit import fit
from mbrl.dynamics.termination import TERMINATIONS, never
from tests.fakes import random_transitions

DATA = random_transitions(80)
QUICK = {"batch_size": 32, "max_epochs": 1, "progress": False}
IDENTITY = {"dataset_id": "mine", "dataset_sha256": "ab" * 32}


def make(**changes):
    return Ensemble(3, 2, **({"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (0, 0)} | changes))


@pytest.fixture
def fits(monkeypatch):
    """Counts real fits."""
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        return fit(*args, **kwargs)

    monkeypatch.setattr(module, "fit", counted)
    # The key is made from the signature of `fit`, which the counter must not hide.
    monkeypatch.setattr(counted, "__wrapped__", fit, raising=False)
    return calls


def entries(folder):
    return sorted(p.name for p in Path(folder).iterdir() if p.is_dir())


def test_fits_once_and_then_gives_the_same_bits_and_report(tmp_path, fits):
    first, report = fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
    for _ in range(3):
        again, same = fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
        assert same == report
        assert all(torch.equal(x, again.state_dict()[k]) for k, x in first.state_dict().items())
    assert len(fits) == 1
    assert len(entries(tmp_path)) == 1


def test_termination_is_decided_afresh(tmp_path, fits):
    fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
    rule = TERMINATIONS["Walker2d-v4"]
    model, _ = fit_cached(tmp_path, lambda: make(termination=rule), DATA, **IDENTITY, **QUICK)
    assert model.termination is rule
    assert len(fits) == 1
    assert fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)[0].termination is never


def key(model=None, data=DATA, sha="ab", env=None, **options):
    return cache_key(model or make(), data, dataset_sha256=sha, env=env, options=options)


def test_everything_that_decides_a_fit_is_in_the_key():
    other = dataclasses.replace(DATA, reward=DATA.reward + 1)
    keys = [
        key(),
        key(make(seeds=(1,))),
        key(make(seeds=(0, 1))),
        key(make(hidden=(9,))),
        key(make(elites=1)),
        key(make(weight_decay=(0, 1))),
        key(make(logvar_init=(-9.0, 0.5))),
        key(sha="cd"),
        key(data=other),
        key(data=DATA[:79]),
        key(env=EnvSpec("Hopper-v5")),
        key(env=EnvSpec("Hopper-v5", {"frame_skip": 8})),
        key(lr=1e-4),
        key(max_epochs=3),
        key(holdout_max=10),
    ]
    assert len(set(keys)) == len(keys)


def test_what_leaves_no_trace_in_the_model_is_not_in_the_key():
    assert key() == key(progress=False) == key(on_epoch=print) == key(lr=1e-3)
    assert key() == key(make(termination=TERMINATIONS["Walker2d-v4"]))


def test_an_unknown_option_is_refused_before_anything_is_done(tmp_path):
    with pytest.raises(TypeError, match="learning_rate"):
        fit_cached(tmp_path / "c", make, DATA, **IDENTITY, learning_rate=1)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_fit_leaves_nothing_half_made(tmp_path, error):
    def stop(info):
        raise error

    with pytest.raises(error):
        fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK, on_epoch=stop)
    assert entries(tmp_path) == []
    fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_save_leaves_nothing_half_made(tmp_path, monkeypatch, error):
    def broken(folder, *args, **kwargs):
        folder.mkdir()
        (folder / "half").write_text("")
        raise error("disk full")

    monkeypatch.setattr(module, "save_model", broken)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else CheckpointError):
        fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
    assert entries(tmp_path) == []


def test_the_loser_of_a_race_without_locks_takes_the_winners_model(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)

    def slow_fit(ensemble, transitions, **options):
        if not entries(tmp_path):  # the winner publishes while the loser is still fitting
            monkeypatch.setattr(module, "fit", fit)
            fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
        report = fit(ensemble, transitions, **options)
        ensemble.logvar_max.data.add_(1.0)  # mark the loser's own
        return dataclasses.replace(report, seconds=1e6)

    slow_fit.__wrapped__ = fit
    monkeypatch.setattr(module, "fit", slow_fit)
    model, report = fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
    assert report.seconds < 1e6
    assert model.logvar_max.max() < 1.0
    assert len(entries(tmp_path)) == 1


def test_a_damaged_entry_is_named(tmp_path):
    fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)
    entry = tmp_path / entries(tmp_path)[0]
    (entry / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=entry.name):
        fit_cached(tmp_path, make, DATA, **IDENTITY, **QUICK)


def test_unwritable_cache(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cache: cannot write"):
        fit_cached(tmp_path / "file" / "cache", make, DATA, **IDENTITY, **QUICK)


@pytest.mark.skipif(locks.fcntl is None, reason="file locks are POSIX")
def test_two_at_once_fit_once(tmp_path, monkeypatch, capsys):
    """Threads, as the lock is on the open file: two of them contend for it just as two processes do."""
    fitting, calls = threading.Event(), []

    def slow(*args, **kwargs):
        calls.append(1)
        fitting.set()
        time.sleep(0.5)
        return fit(*args, **kwargs)

    slow.__wrapped__ = fit
    monkeypatch.setattr(module, "fit", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fit_cached, tmp_path, make, DATA, **IDENTITY, **QUICK)
        assert fitting.wait(30)
        second = pool.submit(fit_cached, tmp_path, make, DATA, **IDENTITY, **QUICK)
        (a, one), (b, two) = first.result(60), second.result(60)
    assert len(calls) == 1
    assert one == two
    assert all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())
    assert "waiting for another process" in capsys.readouterr().err
    assert len(entries(tmp_path)) == 1
