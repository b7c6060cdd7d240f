"""Full disks, read-only folders, bad bytes and NaN in the midst of a run: a clear end, and nothing lost."""

import contextlib
import errno
import json
import math
import os
import random
import re

import pytest

from mbrl.core import checkpoint, files
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import CheckpointError, ConfigError, DataError, DivergenceError
from mbrl.core.log import MetricsLog
from mbrl.datasets import from_arrays
from mbrl.run.experience import MixedData
from mbrl.run.sources import ModelRollouts
from tests.fakes import Walk
from tests.reliability.disks import file_limit
from tests.run.poison import Poisoned, nan_policy, nan_reward, nan_weight
from tests.run.small_run import (
    learned,
    look,
    make_agent,
    make_data,
    rows,
    same,
    small_run,
)

UPDATES = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run without a fault."""
    folder = tmp_path_factory.mktemp("whole")
    small_run(folder, UPDATES).run()
    return folder


def assert_goes_on(folder, whole):
    small_run(folder, UPDATES, resume=True).run()
    assert same(learned(folder), learned(whole))
    assert rows(folder) == rows(whole)


# A thread of TensorBoard's own dies of it, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("size", "named"), [(10_000, "cannot write a checkpoint here"), (200, "metrics cannot")]
)
def test_a_disk_that_fills_up_ends_the_run_with_its_last_checkpoint_whole(tmp_path, whole, size, named):
    with contextlib.ExitStack() as stack:

        def filling(agent, update):
            if update == 7:
                stack.enter_context(file_limit(size))
            return look(agent, update)

        with pytest.raises(CheckpointError, match=f"{tmp_path}.*{named}.*File too large"):
            small_run(tmp_path, UPDATES, evaluate=filling).run()
    assert load_tree(tmp_path / "checkpoint")[1]["update"] == 6
    assert not (tmp_path / "checkpoint.fresh").exists()
    assert_goes_on(tmp_path, whole)


STEPS = {
    "tensors": (checkpoint, "save_file"),
    "meta": (checkpoint.Path, "write_text"),
    "flush": (checkpoint, "flush"),
    "folder": (checkpoint.Path, "mkdir"),
    "swap": (checkpoint.Path, "rename"),
}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("step", STEPS)
def test_whatever_fails_in_a_save_the_checkpoint_before_stands(tmp_path, whole, step, code, monkeypatch):
    def failing(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    def arming(agent, update):
        if update == 7:
            patched.setattr(*STEPS[step], failing)
        return look(agent, update)

    message = f"cannot write a checkpoint here.*{os.strerror(code)}"
    with monkeypatch.context() as patched, pytest.raises(CheckpointError, match=message):
        small_run(tmp_path, UPDATES, evaluate=arming).run()
    assert load_tree(tmp_path / "checkpoint")[1]["update"] == 6
    assert_goes_on(tmp_path, whole)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_result_that_cannot_be_written_says_so_and_resuming_writes_it(tmp_path, whole, code, monkeypatch):
    def failing(path):
        if path.name.startswith("result.json"):
            raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(files, "flush", failing)
        with pytest.raises(
            CheckpointError, match=f"result.json cannot be written.*{os.strerror(code)}.*resume=true"
        ):
            small_run(tmp_path, UPDATES).run()
    assert not list(tmp_path.glob("result.json*"))
    assert_goes_on(tmp_path, whole)
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("seed", range(30))
def test_a_bad_byte_anywhere_in_a_checkpoint_is_found(tmp_path_factory, whole, seed, capsys):
    rng = random.Random(seed)
    path = whole / "checkpoint" / rng.choice(["tensors.safetensors", "meta.json", "sha256sums"])
    sound = path.read_bytes()
    place = rng.randrange(len(sound))
    bad = bytearray(sound)
    bad[place] ^= rng.randrange(1, 256)
    path.write_bytes(bad)
    try:
        assert load_tree(whole / "checkpoint")[1]["update"] in (18, 20)
        said = capsys.readouterr().err
        assert f"{whole}/checkpoint" in said
        assert "checkpoint.previous is used in its place" in said
    finally:
        path.write_bytes(sound)


@pytest.mark.parametrize("seed", range(30))
def test_a_bad_byte_in_metrics_is_named_or_cut_off(tmp_path, whole, seed, capsys):
    rng = random.Random(seed)
    text = (whole / "metrics.jsonl").read_bytes()
    place = rng.randrange(len(text))
    bad = text[:place] + bytes([text[place] ^ rng.randrange(1, 256)]) + text[place + 1 :]
    (tmp_path / "metrics.jsonl").write_bytes(bad)
    lines, number = text.count(b"\n"), bad[:place].count(b"\n") + 1
    merged = text[place : place + 1] == b"\n"
    if number == lines or (merged and number == lines - 1):
        MetricsLog(tmp_path, (0, 1), keep=UPDATES).close()
        assert f"metrics.jsonl:{number}: not a row of metrics" in capsys.readouterr().err
        assert len(rows(tmp_path)) == number - 1
    else:
        with pytest.raises(ConfigError, match=f"{tmp_path}/metrics.jsonl:{number}: not a row of metrics"):
            MetricsLog(tmp_path, (0, 1), keep=UPDATES)
        assert (tmp_path / "metrics.jsonl").read_bytes() == bad


class Spoiled(Walk):
    """A model that predicts NaN from its n-th step on."""

    def __init__(self, after):
        super().__init__(noise=0.1)
        self.left = after

    def step(self, *args, **kwargs):
        self.left -= 1
        found = super().step(*args, **kwargs)
        return found if self.left > 0 else found._replace(next_obs=found.next_obs * math.nan)


@pytest.mark.parametrize("poison", [nan_weight, nan_policy, nan_reward])
@pytest.mark.parametrize("seed", range(3))
def test_nan_in_critic_policy_or_batch_ends_with_a_diagnosis_and_a_sound_checkpoint(tmp_path, poison, seed):
    when = random.Random(seed).randrange(2, UPDATES)
    agent = Poisoned(make_agent(), (when, poison(slice(None))))
    with pytest.raises(DivergenceError, match=r"seed 0, update \d+: .*not finite"):
        small_run(tmp_path, UPDATES, agent=agent).run()
    assert_ended_well(tmp_path, when)


@pytest.mark.parametrize("seed", range(3))
def test_nan_in_the_model_ends_with_a_diagnosis_and_a_sound_checkpoint(tmp_path, seed):
    data, after = make_data(), random.Random(seed).randrange(4, 13)  # renewed every 4 updates, 3 steps each
    source = ModelRollouts(Spoiled(after), data, horizon=3)
    options = {"batch_size": 8, "real_ratio": 0.25, "starts": 6, "retain": 2, "refresh_every": 4}
    with pytest.raises(DivergenceError):
        small_run(tmp_path, UPDATES, experience=MixedData(data, source, **options)).run()
    assert_ended_well(tmp_path, UPDATES)


def assert_ended_well(folder, when):
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "diverged"
    assert re.search("not? finite", result["diagnosis"])
    meta = load_tree(folder / "checkpoint")[1]
    assert meta["update"] <= when
    assert all(x.isfinite().all() for x in learned(folder).values() if x.is_floating_point())
    assert load_tree(folder / "checkpoint-diverged")[1]["update"] >= meta["update"]


@pytest.mark.parametrize("seed", range(3))
def test_nan_in_the_data_is_refused_with_its_row(seed):
    data, row = make_data(), random.Random(seed).randrange(50)
    obs = data.obs.numpy().copy()
    obs[row, 1] = math.nan
    with pytest.raises(DataError, match=f"observations row {row}, column 1 is nan"):
        from_arrays(obs, data.action.numpy(), data.reward.numpy(), data.terminal.numpy())
