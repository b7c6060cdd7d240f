"""NeoRL-2's layout, on files of the same layout that are written here."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.datasets import load, missing_reference, neorl2, normalized_score, reference
from mbrl.datasets.neorl2 import TASKS

PUBLISHED = {  # obs, action, step limit, returns at 0 and 100: copied by hand
    "Pipeline": (52, 1, 1000, -296, 751),
    "Simglucose": (31, 1, 480, 9.75, 475),
    "RocketRecovery": (7, 2, 500, -176, 208),
    "RandomFrictionHopper": (13, 3, 1000, -3, 503),
    "DMSD": (6, 2, 100, 30.60, 849.51),
    "Fusion": (15, 6, 100, -107.601, 98.05),
    "SafetyHalfCheetah": (18, 6, 1000, -283, 2507),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEORL2_DATASET_DIR", str(tmp_path))
    return tmp_path


def columns(task, lengths=(4, 3, 5), terminal=(1,), flat=False):
    """Episodes of these lengths; those in `terminal` end in a terminal, the others are cut."""
    spec, rows = TASKS[task], sum(lengths)
    rng = np.random.default_rng(0)
    last = np.cumsum(lengths) - 1
    done, truncated = np.zeros((2, rows))
    done[last[list(terminal)]] = 1
    truncated[[row for i, row in enumerate(last) if i not in terminal]] = 1
    found = {
        "obs": rng.normal(size=(rows, spec.obs_dim)).astype(np.float32),
        "next_obs": rng.normal(size=(rows, spec.obs_dim)).astype(np.float32),
        "action": rng.uniform(-1, 1, size=(rows, spec.action_dim)).astype(np.float32),
        "reward": rng.normal(size=rows).astype(np.float32),
        "done": done.astype(np.float32),
        "truncated": truncated.astype(np.float32),
        "index": np.append(0, last[:-1] + 1),
    }
    return found if flat else {k: v[:, None] if k in ("reward", "done") else v for k, v in found.items()}


def write(folder, task, split="train", drop=(), **changes):
    found = {k: v for k, v in {**columns(task), **changes}.items() if k not in drop}
    np.savez(folder / f"{task}-{split}.npz", **found)
    return found


@pytest.mark.parametrize("task", PUBLISHED)
def test_a_task_has_its_dims_limit_and_scores(folder, task):
    obs, action, limit, low, high = PUBLISHED[task]
    found = write(folder, task)
    dataset = load(f"neorl2/{task}", verbose=False)
    assert (dataset.id, dataset.obs_dim, dataset.action_dim) == (f"neorl2/{task}", obs, action)
    assert TASKS[task].limit == limit
    assert reference(f"neorl2/{task}") == reference(f"neorl2/{task}-val") == (low, high)
    assert normalized_score(f"neorl2/{task}", (low + high) / 2) == pytest.approx(50)
    assert missing_reference(f"neorl2/{task}") == ""
    rows = dataset.transitions
    for name, key in (("obs", "obs"), ("next_obs", "next_obs"), ("action", "action")):
        assert np.array_equal(getattr(rows, name).numpy(), found[key])
    assert np.array_equal(rows.reward.numpy(), found["reward"][:, 0])
    assert rows.terminal.nonzero().flatten().tolist() == [6]
    assert rows.timeout.nonzero().flatten().tolist() == [3, 11]
    assert dataset.successor_known.all()
    assert dataset.env is None


def test_unknown_tasks_have_no_score():
    assert math.isnan(normalized_score("neorl2/Nothing", 1.0))
    assert reference("neorl2/Nothing") is None


@pytest.mark.parametrize(
    ("lengths", "terminal", "terminals", "timeouts"),
    [((4, 3, 5), (1,), [6], [3, 11]), ((100, 3), (0, 1), [102], [99]), ((100, 3), (1,), [102], [99])],
)
def test_without_truncated_the_index_says_where_episodes_begin(
    folder, lengths, terminal, terminals, timeouts
):
    write(folder, "DMSD", drop=["truncated"], **columns("DMSD", lengths, terminal))
    rows = load("neorl2/DMSD", verbose=False).transitions
    assert rows.terminal.nonzero().flatten().tolist() == terminals
    assert rows.timeout.nonzero().flatten().tolist() == timeouts


def test_validation_data_and_the_first_episodes(folder):
    write(folder, "Fusion", "val")
    assert len(load("neorl2/Fusion-val", verbose=False)) == 12
    assert len(load("neorl2/Fusion-val", verbose=False, episodes=2)) == 7
    with pytest.raises(DataError, match="episodes is 0"):
        load("neorl2/Fusion-val", episodes=0)


def test_of_rocket_recovery_the_benchmark_takes_the_first_hundred(folder):
    write(folder, "RocketRecovery", **columns("RocketRecovery", (2,) * 130, ()))
    assert load("neorl2/RocketRecovery", verbose=False).stats.episodes == 100
    assert load("neorl2/RocketRecovery", verbose=False, episodes=130).stats.episodes == 130
    write(folder, "RocketRecovery", "val", **columns("RocketRecovery", (2,) * 40, ()))
    assert load("neorl2/RocketRecovery-val", verbose=False).stats.episodes == 25


def test_another_file_than_the_published_is_noted(folder, monkeypatch):
    write(folder, "DMSD")
    digest = hashlib.md5((folder / "DMSD-train.npz").read_bytes()).hexdigest()
    assert any(f"md5 {digest} is not" in note for note in load("neorl2/DMSD", verbose=False).stats.notes)
    monkeypatch.setitem(neorl2.TASKS, "DMSD", replace(TASKS["DMSD"], md5=(digest, "")))
    assert not any("md5" in note for note in load("neorl2/DMSD", verbose=False).stats.notes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"drop": ["next_obs"]}, DataError, "DMSD-train.npz: no key next_obs"),
        ({"drop": ["truncated", "index"]}, DataError, "no key truncated, and no index"),
        ({"obs": np.zeros((12, 7))}, MismatchError, r"obs has shape \(12, 7\); DMSD needs \(12, 6\)"),
        ({"action": np.zeros(12)}, MismatchError, r"action has shape \(12,\); DMSD needs \(12, 2\)"),
        ({"truncated": np.zeros(3)}, DataError, "truncated has 3 rows, done 12"),
        ({"drop": ["truncated"], "index": np.array([0, 4, 4])}, DataError, "index must rise from 0"),
        ({"drop": ["truncated"], "index": np.array([0, 40])}, DataError, "index must rise from 0"),
        ({"reward": np.array(["a"] * 12)}, DataError, "reward is <U1"),
        ({"done": np.array([None] * 12)}, DataError, "done holds pickled objects"),
        ({"action": np.full((12, 2), 3.0)}, DataError, "actions row 0, column 0 is 3, outside"),
    ],
)
def test_files_of_another_form_are_refused(folder, changes, error, message):
    write(folder, "DMSD", **changes)
    with pytest.raises(error, match=message):
        load("neorl2/DMSD")


def test_a_missing_file_and_an_unknown_task_say_what_to_do(folder):
    with pytest.raises(DataError, match=r"no file .*Fusion-train.npz: get http.*NEORL2_DATASET_DIR"):
        load("neorl2/Fusion")
    for name in ("Fusio", "../Fusion", "/etc/Fusion", "Fusion/../DMSD"):
        with pytest.raises(DataError, match=r"unknown NeoRL-2 task"):
            load(f"neorl2/{name}")
