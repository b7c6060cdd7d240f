"""A stack of grid points leaves the folders that runs one by one would leave, to the last bit."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mbrl.agents import SAC
from mbrl.conf import load_config
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import ConfigError, DivergenceError, MismatchError
from mbrl.core.log import read_metrics
from mbrl.diagnose.report import markdown, read_runs
from mbrl.run import records
from mbrl.run.build import evaluate_run, train_from_config
from mbrl.run.build.audit import audit_run
from mbrl.run.folder import LOCK
from tests.run.stacks import singles, small

OPTIONS = {
    "agent.eta": ("[0,1,0.5]", []),
    "agent.alpha": ("[1,0.2]", []),
    "agent.actor_lr": ("[3e-4,1e-3]", []),
    "agent.critic_lr": ("[3e-4,1e-3]", []),
    "agent.alpha_lr": ("[1e-3,3e-4]", []),
    "agent.target_entropy": ("[null,-1]", []),
    "agent.beta": ("[0,2]", ["agent=mobile"]),
    "agent.cql_weight": ("[0,2]", ["agent=combo", "train.real_ratio=0.5"]),
    "penalty.coefficient": ("[0,2]", ["penalty=mopo_pairwise"]),
    "edge.cost": ("[0,5]", ["edge=constant"]),
    "train.real_ratio": ("[0.1,0.5,0.12]", []),
}
"""Every stackable option: values, and the parts that have it. Of the last three ratios two mean as many rows."""


ETA = "stack={agent.eta: [0,1]}"


def tensors(folder, name="checkpoint"):
    return flatten(load_tree(Path(folder) / name)[0])


def assert_same_run(ours, theirs):
    """Rows, checkpoint and result, but for the time it took."""
    mine, alone = (read_metrics(Path(folder) / "metrics.jsonl") for folder in (ours, theirs))
    # A member without diversity is told of it where a neighbour has some.
    mine = [{k: v for k, v in row.items() if k in other} for row, other in zip(mine, alone, strict=True)]
    assert mine == alone
    a, b = tensors(ours), tensors(theirs)
    assert {k for k in a if k in b or "critic/diversity" not in k} == b.keys()
    assert [k for k, x in b.items() if not torch.equal(a[k], x)] == []
    found = []
    for folder in (ours, theirs):
        result = json.loads((Path(folder) / "result.json").read_text())
        meta = load_tree(Path(folder) / "checkpoint")[1]
        for timing in ("seconds", "refresh_seconds", "updates_per_second"):
            result.pop(timing)
            meta.pop(timing, None)
        found.append((result, meta))
    assert found[0] == found[1]


@pytest.mark.parametrize("path", OPTIONS)
def test_each_point_equals_its_run_by_itself(path, tmp_path):
    values, parts = OPTIONS[path]
    config = small(tmp_path, *parts, f"stack={{{path}: {values}}}")
    assert train_from_config(config) == tmp_path / "run"
    alone = singles(config)
    assert len(alone) > 1
    for name, single in alone.items():
        train_from_config(single)
        folder = tmp_path / "run" / name
        assert_same_run(folder, single.out)
        assert load_config(folder / "config.yaml") == replace(single, out=str(folder))
        for seed in (3, 1):
            assert list((folder / "tensorboard" / f"seed_{seed}").glob("events*"))
    weights = [tensors(tmp_path / "run" / name)["agent/critics/net.layers.0.weight"] for name in alone]
    if path != "agent.target_entropy":  # which acts on the temperature first
        assert not torch.equal(weights[0], weights[1])


def test_several_options_make_a_product_one_folder_a_point(tmp_path):
    varied = "stack={edge.cost: [0,5], train.real_ratio: [0.1,0.5]}"
    config = small(tmp_path, varied, "edge=constant", "agent.auto_alpha=false")
    train_from_config(config)
    names = [
        "cost=0-real_ratio=0.1",
        "cost=0-real_ratio=0.5",
        "cost=5-real_ratio=0.1",
        "cost=5-real_ratio=0.5",
    ]
    summary = json.loads((tmp_path / "run/result.json").read_text())
    assert summary["points"] == dict.fromkeys(names, "finished")
    assert (summary["status"], summary["updates"]) == ("finished", 6)
    there = {path.name for path in (tmp_path / "run").iterdir()}
    assert there - {"tensorboard"} == {
        *(LOCK, "checkpoint", "checkpoint.previous", "config.yaml", "result.json"),
        *names,
    }
    alone = singles(config)[names[2]]
    train_from_config(alone)
    assert_same_run(tmp_path / "run" / names[2], alone.out)


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@pytest.fixture
def at_update(monkeypatch):
    """Something to do to an agent after its n-th update in this process: {n: what}; a fresh agent counts anew."""
    when, update = {}, SAC.update

    def watched(self, batch, streams):
        info = update(self, batch, streams)
        self.watched = getattr(self, "watched", 0) + 1
        if self.watched in when:
            when[self.watched](self)
        return info

    monkeypatch.setattr(SAC, "update", watched)
    return when


def kill(agent):
    raise Killed


def interrupt(agent):
    os.kill(os.getpid(), signal.SIGINT)


def spoil(*places):
    """Break the critics of these members."""

    @torch.no_grad()
    def poison(agent):
        agent.critics.net.layers[0].weight[list(places)] = torch.nan

    return poison


@pytest.mark.parametrize("at", [1, 4])
def test_a_stack_that_was_killed_goes_on_bit_for_bit(tmp_path, at_update, at):
    config = small(tmp_path, ETA)
    at_update[at] = kill
    with pytest.raises(Killed):
        train_from_config(config)
    at_update.clear()
    train_from_config(replace(config, resume=True))
    whole = replace(config, out=f"{tmp_path}/whole")
    train_from_config(whole)
    for name in singles(config):
        assert_same_run(tmp_path / "run" / name, tmp_path / "whole" / name)
    a, b = tensors(tmp_path / "run"), tensors(tmp_path / "whole")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_stack_that_was_stopped_says_so_in_every_point_and_goes_on(tmp_path, at_update):
    config = small(tmp_path, ETA)
    at_update[4] = interrupt
    train_from_config(config)
    assert read_status(tmp_path / "run") == ["interrupted"] * 3
    at_update.clear()
    train_from_config(replace(config, resume=True))
    assert read_status(tmp_path / "run") == ["finished"] * 3
    for name, single in singles(config).items():
        train_from_config(single)
        assert_same_run(tmp_path / "run" / name, single.out)


def read_status(folder):
    """Of the stack, then of its points."""
    files = [folder / "result.json", *sorted(folder.glob("*=*/result.json"))]
    return [json.loads(file.read_text())["status"] for file in files]


def test_a_point_can_be_made_longer_by_itself(tmp_path):
    config = small(tmp_path, ETA)
    train_from_config(config)
    for name, single in singles(config).items():
        point = load_config(tmp_path / "run" / name / "config.yaml")
        assert point.stack == {}
        longer = replace(point.train, updates=12)
        train_from_config(replace(point, resume=True, train=longer))
        train_from_config(replace(single, train=longer))
        assert_same_run(tmp_path / "run" / name, single.out)


def test_a_point_by_itself_goes_on_without_the_figures_of_its_neighbours(tmp_path, at_update):
    config = small(tmp_path, ETA, "train.log_every=4", "train.eval_every=4")
    single = singles(config)["eta=0"]
    at_update[5] = interrupt  # in the midst of what the next look is a mean over
    for one in (config, single):
        train_from_config(one)
    at_update.clear()
    train_from_config(replace(load_config(tmp_path / "run/eta=0/config.yaml"), resume=True))
    train_from_config(replace(single, resume=True))
    mine, alone = (read_metrics(Path(f) / "metrics.jsonl") for f in (tmp_path / "run/eta=0", single.out))
    later = [row for row in mine if row["update"] > 5]
    assert later == [row for row in alone if row["update"] > 5]
    assert later
    assert any("critic/diversity" in row for row in mine)


def test_a_point_that_diverges_leaves_what_its_run_would_and_the_others_go_on(tmp_path, at_update, capsys):
    config = small(tmp_path, ETA, "train.log_every=100", "train.eval_every=100", "train.checkpoint_every=2")
    at_update[3] = spoil(2, 3)  # both seeds of eta=1
    train_from_config(config)
    said = capsys.readouterr().out
    assert "eta=1, seed 3, update 4: " in said
    assert "eta=1, seed 1, update 4: " in said
    assert read_status(tmp_path / "run") == ["finished", "finished", "diverged"]
    alone = singles(config)
    at_update.clear()
    train_from_config(alone["eta=0"])
    assert_same_run(tmp_path / "run/eta=0", alone["eta=0"].out)
    at_update[3] = spoil(0, 1)
    with pytest.raises(DivergenceError):
        train_from_config(alone["eta=1"])
    assert_same_run(tmp_path / "run/eta=1", alone["eta=1"].out)
    assert load_tree(tmp_path / "run/eta=1/checkpoint")[1]["update"] == 2
    a, b = (tensors(Path(out), "checkpoint-diverged") for out in (tmp_path / "run/eta=1", alone["eta=1"].out))
    assert all(torch.equal(a[k].nan_to_num(), b[k].nan_to_num()) for k in b)
    assert not (tmp_path / "run/eta=0/checkpoint-diverged").exists()


def test_one_seed_of_a_point_may_diverge(tmp_path, at_update):
    config = small(tmp_path, ETA)
    at_update[3] = spoil(3)
    train_from_config(config)
    result = json.loads((tmp_path / "run/eta=1/result.json").read_text())
    assert (result["status"], list(result["diverged"])) == ("finished", ["1"])
    assert [value is None for value in result["return"]["last"]] == [False, True]
    assert load_tree(tmp_path / "run/eta=1/checkpoint")[1]["frozen"] == {"1": result["diverged"]["1"]}
    assert "diverged" not in json.loads((tmp_path / "run/eta=0/result.json").read_text())
    # by itself, the point goes on with the seed that is left
    at_update.clear()
    point = load_config(tmp_path / "run/eta=1/config.yaml")
    train_from_config(replace(point, resume=True, train=replace(point.train, updates=8)))
    longer = json.loads((tmp_path / "run/eta=1/result.json").read_text())
    assert (longer["updates"], longer["diverged"]) == (8, result["diverged"])


def test_where_every_point_diverges_the_command_fails_and_names_them(tmp_path, at_update):
    at_update[3] = spoil(0, 1, 2, 3)
    with pytest.raises(
        DivergenceError, match=r"eta=0, seed 3, .*; eta=0, seed 1, .*; eta=1, seed 3, .*; eta=1, seed 1, "
    ):
        train_from_config(small(tmp_path, ETA))
    assert read_status(tmp_path / "run") == ["diverged"] * 3


@pytest.mark.pictures
def test_every_tool_takes_a_point_and_the_stack_is_refused_or_spread_out(tmp_path, monkeypatch):
    config = small(tmp_path, ETA)
    train_from_config(config)
    folder = tmp_path / "run"
    for name in ("eta=0", "eta=1"):
        assert (folder / name / "run.png").stat().st_size > 10_000
    found = evaluate_run(folder / "eta=1", episodes=2, device="cpu")
    assert found["seeds"] == [3, 1]
    monkeypatch.setattr("mbrl.diagnose.audit.pictures", lambda *arguments: {})
    page = audit_run(folder / "eta=1", starts=20, mc_horizon=15, device="cpu", progress=False)
    assert page.parent == folder / "eta=1/diagnose"
    for tool in (evaluate_run, audit_run):
        with pytest.raises(
            ConfigError, match=r"holds the runs of a stack.*name one of .*run/eta=0, .*run/eta=1"
        ):
            tool(folder, device="cpu")
    spread, one = (markdown(read_runs([path])) for path in (folder, folder / "eta=1"))
    assert [line.split("|")[1].strip() for line in spread.splitlines()[3:]] == ["eta=0"] * 2 + ["eta=1"] * 2
    assert spread.endswith(one.splitlines()[-1])


def test_a_folder_that_holds_a_run_is_kept(tmp_path, capsys):
    config = small(tmp_path, ETA)
    train_from_config(singles(config)["eta=1"])
    (tmp_path / "run-alone").rename(tmp_path / "run")
    before = (tmp_path / "run/eta=1/result.json").read_bytes()
    capsys.readouterr()
    with pytest.raises(ConfigError, match=r"eta=1 already holds a run.*resume=true.*overwrite=true"):
        train_from_config(config)
    assert "dataset" not in capsys.readouterr().out
    assert (tmp_path / "run/eta=1/result.json").read_bytes() == before
    train_from_config(replace(config, overwrite=True))
    assert read_status(tmp_path / "run") == ["finished"] * 3


def test_a_stack_is_not_resumed_as_another(tmp_path):
    train_from_config(small(tmp_path, ETA))
    for other in ("stack={agent.eta: [0,2]}", "stack={agent.eta: [0]}", "stack={}"):
        with pytest.raises(MismatchError, match="cannot be resumed with other settings: stack.agent.eta: "):
            train_from_config(small(tmp_path, other, "resume=true"))


def test_a_stack_is_saved_whole_before_its_points(tmp_path, monkeypatch):
    saved, save = [], records.save_tree
    monkeypatch.setattr(records, "save_tree", lambda place, *rest: saved.append(place) or save(place, *rest))
    train_from_config(small(tmp_path, ETA, "train.updates=2"))
    once = ["run/checkpoint", "run/eta=0/checkpoint", "run/eta=1/checkpoint"]
    assert [str(place.relative_to(tmp_path)) for place in saved] == once * 2


def test_pretraining_is_logged_in_every_point(tmp_path):
    train_from_config(small(tmp_path, ETA, "agent.pretrain_epochs=1"))
    boards = sorted(path.parent for path in (tmp_path / "run").glob("*/tensorboard/pretrain/events*"))
    assert [board.relative_to(tmp_path / "run").parts[0] for board in boards] == ["eta=0", "eta=1"]


@pytest.mark.parametrize(
    "parts",
    [
        ["source=rambo", "agent=rambo"],
        ["penalty=morel"],
        ["agent=mobile", "penalty=mopo", "edge=constant"],
        ["train.accelerate=eager", "train.bias_states=0", "source=none", "train.real_ratio=1"],
    ],
    ids=" ".join,
)
def test_other_parts_work_in_a_stack_as_well(tmp_path, parts):
    own = ["dynamics=ensemble", f"dynamics.cache={tmp_path}/cache", "dynamics.termination=none"]
    config = small(tmp_path, *own, *parts, "stack={agent.critic_lr: [3e-4,1e-3]}")
    train_from_config(config)
    assert read_status(tmp_path / "run") == ["finished"] * 3
