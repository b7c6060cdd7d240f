"""N + N updates across a resume are 2N updates, whatever ended the first part: bit for bit on the CPU."""

import json
import multiprocessing
import random
import shutil
import time

import pytest

from mbrl.core.checkpoint import exists, load_tree, save_tree
from mbrl.core.errors import CheckpointError, MismatchError
from tests.run.small_run import (
    KINDS,
    learned,
    look,
    make_agent,
    make_experience,
    rows,
    same,
    small_run,
    train_until_killed,
)


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


class Dying:
    """Delegates to an agent, and dies in its n-th update."""

    def __init__(self, agent, update):
        self.agent, self.left = agent, update

    def __getattr__(self, name):
        return getattr(self.agent, name)

    def update(self, batch, streams):
        self.left -= 1
        if self.left == 0:
            raise Killed
        return self.agent.update(batch, streams)


def assert_same_run(a, b):
    assert same(learned(a), learned(b))
    assert rows(a) == rows(b)
    results = [json.loads((folder / "result.json").read_text()) for folder in (a, b)]
    for timing in ("seconds", "refresh_seconds", "updates_per_second"):
        assert [r.pop(timing) > 0 for r in results] == [True, True]
    assert results[0] == results[1]


@pytest.mark.parametrize(("kind", "at"), [("edac", 2), ("edac", 9), ("edac", 13), ("sac", 9), ("bc", 13)])
def test_killed_in_an_update_it_goes_on_from_the_last_checkpoint(tmp_path, kind, at):
    # saves every 3, looks every 5, evaluates every 7, renews every 4: rows after the save come a second time
    with pytest.raises(Killed):
        small_run(tmp_path / "parts", 26, agent=Dying(make_agent(kind), at), kind=kind).run()
    resumed = small_run(tmp_path / "parts", 26, kind=kind, resume=True)
    assert resumed.update == (at - 1) // 3 * 3
    resumed.run()
    small_run(tmp_path / "whole", 26, kind=kind).run()
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_killed_while_looking_it_goes_on(tmp_path):
    def dying(agent, update):
        if update == 7:
            raise Killed
        return look(agent, update)

    with pytest.raises(Killed):
        small_run(tmp_path / "parts", 20, evaluate=dying).run()
    assert rows(tmp_path / "parts")[-1]["update"] == 7
    small_run(tmp_path / "parts", 20, resume=True).run()
    small_run(tmp_path / "whole", 20).run()
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_many_parts_are_one_run(tmp_path):
    for i, at in enumerate((4, 5, 3, 8)):
        with pytest.raises(Killed):
            small_run(tmp_path / "parts", 30, agent=Dying(make_agent(), at), resume=i > 0).run()
    small_run(tmp_path / "parts", 30, resume=True).run()
    small_run(tmp_path / "whole", 30).run()
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_can_be_made_longer(tmp_path, kind):
    small_run(tmp_path / "parts", 14, kind=kind).run()
    small_run(tmp_path / "parts", 28, kind=kind, resume=True).run()
    small_run(tmp_path / "whole", 28, kind=kind).run()
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_made_longer_from_any_update_it_learns_the_same(tmp_path):
    # the end of the first part is one more evaluation, which the whole run does not have
    small_run(tmp_path / "parts", 11).run()
    small_run(tmp_path / "parts", 22, resume=True).run()
    small_run(tmp_path / "whole", 22).run()
    parts, whole = learned(tmp_path / "parts"), learned(tmp_path / "whole")
    assert same(*({k: v for k, v in tree.items() if not k.startswith("sums")} for tree in (parts, whole)))
    extra = [r for r in rows(tmp_path / "parts") if "eval/return" in r and r["update"] != 11]
    assert extra == [r for r in rows(tmp_path / "whole") if "eval/return" in r]


def test_resuming_a_finished_run_changes_nothing_but_the_result(tmp_path):
    small_run(tmp_path, 10).run()
    before, lines = learned(tmp_path), rows(tmp_path)
    result = small_run(tmp_path, 10, resume=True).run()
    assert (result["status"], result["updates"]) == ("finished", 10)
    assert same(before, learned(tmp_path))
    assert rows(tmp_path) == lines


def test_the_result_of_an_earlier_part_does_not_outlive_it(tmp_path):
    small_run(tmp_path, 10).run()
    with pytest.raises(Killed):
        small_run(tmp_path, 20, agent=Dying(make_agent(), 5), resume=True).run()
    assert not (tmp_path / "result.json").exists()


def test_the_time_of_all_parts_counts(tmp_path):
    small_run(tmp_path, 4, evaluate=lambda a, u: time.sleep(0.1) or look(a, u)).run()
    assert small_run(tmp_path, 5, resume=True).run()["seconds"] > 0.2


def test_resuming_where_nothing_is_starts_afresh(tmp_path):
    small_run(tmp_path / "a", 6, resume=True).run()
    small_run(tmp_path / "b", 6).run()
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_a_kill_between_the_two_renames_of_a_save_loses_one_save_only(tmp_path):
    with pytest.raises(Killed):
        small_run(tmp_path / "parts", 20, agent=Dying(make_agent(), 8)).run()
    shutil.rmtree(tmp_path / "parts" / "checkpoint.previous")
    (tmp_path / "parts" / "checkpoint").rename(tmp_path / "parts" / "checkpoint.previous")
    small_run(tmp_path / "parts", 20, resume=True).run()
    small_run(tmp_path / "whole", 20).run()
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_sigkilled_again_and_again_it_is_still_the_same_run(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mbrl.run.train", "mbrl.agents", "torch._dynamo"])
    folder, wait, update = tmp_path / "parts", random.Random(0), -1
    for _ in range(5):
        child = context.Process(target=train_until_killed, args=(str(folder),))
        child.start()
        deadline = time.monotonic() + 120
        while (
            not (exists(folder / "checkpoint") and reached(folder) > update) and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        time.sleep(wait.uniform(0, 0.1))
        child.kill()
        child.join()
        assert child.exitcode == -9
        assert load_tree(folder / "checkpoint")[1]["update"] > update
        update = reached(folder)
    small_run(folder, update + 3, resume=True, checkpoint_every=1).run()
    small_run(tmp_path / "whole", update + 3, checkpoint_every=1).run()
    assert_same_run(folder, tmp_path / "whole")


def reached(folder):
    """The update of the checkpoint; a look between the renames of a running save finds none, and looks again."""
    for _ in range(100):
        try:
            return load_tree(folder / "checkpoint")[1]["update"]
        except CheckpointError:
            time.sleep(0.005)
    raise AssertionError("no checkpoint could be loaded")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (0, 2)}, r"checkpoint was made with seeds \[0, 1\], this run has \[0, 2\]"),
        ({"kind": "sac"}, "checkpoint does not fit the agent or the buffer of this run"),
        ({"agent": make_agent(hidden=(8, 9))}, r"(?s)checkpoint does not fit the agent.*size mismatch"),
        ({"kind": "bc"}, "checkpoint does not fit the agent.*which has no critics.*another kind of agent"),
        ({"experience": make_experience(retain=3)}, r"buffer of this run: .*\(2, 18\), this one \(3, 18\)"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    small_run(tmp_path, 3).run()
    with pytest.raises(MismatchError, match=message):
        small_run(tmp_path, 6, resume=True, **change)


def test_a_checkpoint_of_other_data_is_refused(tmp_path, monkeypatch):
    small_run(tmp_path, 3).run()
    monkeypatch.setattr("tests.run.small_run.DATASET", {"id": "fake", "sha256": "cd", "transitions": 50})
    with pytest.raises(MismatchError, match=r"made with dataset .*'ab'.*, this run has .*'cd'"):
        small_run(tmp_path, 6, resume=True)


@pytest.mark.parametrize("name", ["tensors.safetensors", "meta.json", "sha256sums"])
def test_of_a_damaged_checkpoint_the_run_goes_on_from_the_one_before(tmp_path, name, capsys):
    with pytest.raises(Killed):
        small_run(tmp_path / "parts", 20, agent=Dying(make_agent(), 11)).run()
    path = tmp_path / "parts/checkpoint" / name
    path.write_bytes(path.read_bytes()[:-7])
    resumed = small_run(tmp_path / "parts", 20, resume=True)
    assert resumed.update == 6
    said = capsys.readouterr().err
    assert f"parts/checkpoint/{name}: damaged" in said
    assert f"kept as {tmp_path}/parts/checkpoint.damaged" in said
    resumed.run()
    small_run(tmp_path / "whole", 20).run()
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    assert learned(tmp_path / "parts", "checkpoint.previous")


@pytest.mark.parametrize("name", ["tensors.safetensors", "meta.json"])
def test_a_damaged_checkpoint_without_another_is_named(tmp_path, name):
    small_run(tmp_path, 3).run()
    shutil.rmtree(tmp_path / "checkpoint.previous")
    path = tmp_path / "checkpoint" / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=f"checkpoint/{name}: damaged or incomplete"):
        small_run(tmp_path, 6, resume=True)


def test_a_checkpoint_that_is_no_runs_is_refused(tmp_path):
    save_tree(tmp_path / "checkpoint", {}, {"update": 3, "seeds": [0, 1]})
    with pytest.raises(
        CheckpointError, match="not the checkpoint of a run, it lacks dataset, seconds, summed"
    ):
        small_run(tmp_path, 6, resume=True)
