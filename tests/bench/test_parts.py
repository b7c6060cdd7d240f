"""Every part at the debug scale, through the runner, and what its rows say."""

import json
import math
import threading
from contextlib import ExitStack

import h5py
import numpy as np
import pytest
import torch

from mbrl.bench.buffer import row_bytes
from mbrl.bench.case import Plan
from mbrl.bench.endtoend import Pieces
from mbrl.bench.evaluation import share
from mbrl.bench.memory import held_bytes, in_a_process, write_data
from mbrl.bench.memory_process import largest
from mbrl.bench.registry import PARTS, Part
from mbrl.bench.request import read_request
from mbrl.bench.runner import chosen, run, setup_for
from mbrl.bench.simulator import raw_rollouts, visited
from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.dynamics import TrueDynamics
from mbrl.run.envs import make_env
from tests.fakes import random_transitions

CONTRACT = {"case", "device", "mode", "median_s", "floor_s", "spread"}
MODES = {
    "update": {"eager", "eager bf16", "naive"},
    "dynamics": {"eager", "naive"},
    "rollout": {"eager", "eager bf16", "naive"},
    "diffusion": {"eager"},
    "simulator": {"eager", "naive"},
    "buffer": {"eager", "naive"},
    "evaluation": {"eager", "naive"},
    "endtoend": {"eager", "eager bf16", "naive"},
    "memory": {"eager"},
}


def ask(folder, *more):
    common = ["scale=debug", "threads=1", "repeat=1", "device=cpu", "modes=[eager,bf16]"]
    return read_request([*common, f"out={folder}", *more])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs(part, tmp_path):
    rows = run(ask(tmp_path, f"only={part}"))
    assert json.loads((tmp_path / "benchmark.json").read_text()) == rows
    assert (tmp_path / "benchmark.png").stat().st_size > 0
    assert {row["mode"] for row in rows} == MODES[part]
    for row in rows:
        assert row.keys() >= CONTRACT
        assert row["case"].split("/")[0] == part
        if part != "memory":
            assert row["median_s"] > 0
            assert row["floor_s"] > 0
            assert row["per_second"] == pytest.approx(row["items"] / row["median_s"])
    if part == "evaluation":
        shares = [row["share"] for row in rows if row["mode"] == "eager"]
        assert all(0 < s < 1 for s in shares)
    if part == "memory":
        assert all(r["peak_bytes"] > r["before_bytes"] > r["floor_bytes"] > 0 for r in rows)


def test_what_is_not_timed_anew_stays(tmp_path):
    run(ask(tmp_path, "only=[buffer]"))
    first = json.loads((tmp_path / "benchmark.json").read_text())
    run(ask(tmp_path, "only=[simulator/Hopper,buffer/sample-S2]"))
    rows = json.loads((tmp_path / "benchmark.json").read_text())
    assert [row["case"] for row in rows[::2]] == [
        "simulator/Hopper-v5",
        "buffer/sample-S1",
        "buffer/sample-S2",
    ]
    assert rows[2:4] == first[:2]
    assert rows[4:] != first[2:]
    meta = json.loads((tmp_path / "benchmark.meta.json").read_text())
    assert [r["cases"] for r in meta["runs"]] == [
        ["buffer/sample-S1"],
        ["simulator/Hopper-v5", "buffer/sample-S2"],
    ]
    assert {line.split()[0] for line in (tmp_path / "benchmark.txt").read_text().splitlines()[1:]} == {
        row["case"] for row in rows
    }


def test_a_case_that_does_not_exist_is_named_before_any_work(tmp_path):
    with pytest.raises(ConfigError, match="only=update/N11: there is no such case; known: update/N2-eta0-S1"):
        run(ask(tmp_path / "out", "only=[buffer,update/N11]"))
    assert not (tmp_path / "out").exists()


def test_cases_are_chosen_by_part_or_by_the_beginning_of_their_name():
    known = {"a": [Plan("a/x1", None, 1), Plan("a/x2", None, 1)], "ab": [Plan("ab/x1", None, 1)]}

    def names(*only):
        return [plan.name for plan in chosen(only, known)]

    assert names() == ["a/x1", "a/x2", "ab/x1"]
    assert names("a") == ["a/x1", "a/x2"]
    assert names("ab", "a/x2") == ["a/x2", "ab/x1"]
    assert names("a/x") == ["a/x1", "a/x2"]


def test_a_new_part_is_a_module_and_a_line(monkeypatch, tmp_path):
    monkeypatch.setitem(PARTS, "another", Part("the buffer once more", "mbrl.bench.buffer"))
    assert read_request(["only=another", f"out={tmp_path}"]).only == ("another",)
    setup = setup_for(ask(tmp_path))
    assert [plan.name for plan in PARTS["another"].plans(setup)] == ["buffer/sample-S1", "buffer/sample-S2"]


def test_all_our_cases_have_names_of_their_own():
    setup = setup_for(read_request(["device=cpu"]))
    names = [plan.name for part in PARTS.values() for plan in part.plans(setup)]
    assert len(set(names)) == len(names)
    assert {"update/N10-eta1-S1", "update/N50-eta1-S8", "memory/rows2000000-N50"} <= set(names)


def test_an_evaluations_share_by_hand():
    assert share(1.0, 15.0, 4.0) == 0.05


def test_bytes_by_hand():
    # obs, next_obs 3, action 2, reward: 9 floats; two flags; the step, 8 bytes.
    assert row_bytes(random_transitions(5)) == 4 * 9 + 2 + 8
    # A critic 2 -> 3 -> 1 has 13 weights; each is held five times over, in 4 bytes.
    assert held_bytes(1000, 10, (2, 3, 1)) == 1000 + 10 * 13 * 5 * 4


def test_a_file_for_the_memory_part_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("mbrl.bench.memory.BLOCK", 70)
    write_data(tmp_path / "a.hdf5", 200, 3, 2)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["observations"].shape == (200, 3)
        assert np.abs(file["actions"][:]).max() <= 1
        assert np.flatnonzero(file["timeouts"][:]).tolist() == [99, 199]
        assert (file["rewards"][:] != 0).all()
        assert not file["terminals"][:].any()


def test_the_largest_size_is_remembered():
    before = largest()
    block = torch.ones(10 << 20)
    assert largest() >= before
    assert before > 1 << 20
    del block


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(ConfigError, match="failed: .*nowhere.hdf5"):
        in_a_process(["dataset=hdf5", "dataset.source=/nowhere.hdf5", f"out={tmp_path}/run"])


def test_the_simulators_floor_does_the_same_steps():
    spec, count = EnvSpec("Hopper-v5"), 6
    states, actions = visited(spec, count)
    assert states.shape == (count, 12)
    again = visited(spec, count)
    assert np.array_equal(states, again[0])
    assert np.array_equal(actions, again[1])
    truth = TrueDynamics(spec, threads=1)
    after = truth.simulate(states[:-1], torch.from_numpy(actions[:-1]))[0]
    assert np.allclose(after, states[1:], atol=1e-6)  # the environment goes the same way
    floor = raw_rollouts(make_env(spec), states, actions, 1)
    assert (floor.amount, floor.probe_amount) == (count, count)
    assert floor.probe(1) > 0


class Work:
    """Counts what was done between pauses; fails at the end if it is to."""

    def __init__(self, pieces, failure=None):
        self.pieces, self.failure, self.done = pieces, failure, 0

    def __call__(self):
        self.pieces.pause()
        for _ in range(3):
            self.done += 1
            self.pieces.pause()
        if self.failure:
            raise self.failure


def test_a_run_goes_piece_by_piece():
    pieces, threads = Pieces(), threading.active_count()
    work = Work(pieces)
    with ExitStack() as stack:
        stack.callback(pieces.end)
        one = pieces.of(work)
        assert work.done == 0
        one()
        assert work.done == 1
        one()
        assert work.done == 2
    assert work.done == 2
    assert threading.active_count() == threads


def test_a_run_that_fails_between_pieces_tells_it():
    pieces = Pieces()
    one = pieces.of(Work(pieces, ValueError("lost")))
    for _ in range(3):
        one()
    with pytest.raises(ValueError, match="lost"):
        one()
    pieces.end()


def test_timings_are_finite(tmp_path):
    rows = run(ask(tmp_path, "only=[buffer/sample-S1]", "repeat=2"))
    assert all(math.isfinite(row["spread"]) and row["rounds"] == 2 for row in rows)
