"""Whole runs on a CUDA device: train, resume on a CPU, evaluate, audit; refreshes never wait."""

import json
import math

import pytest
import torch

from mbrl.bench.launches import Launches
from mbrl.conf import compose
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.log import read_metrics
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy
from mbrl.run.build import evaluate_run, train_from_config
from mbrl.run.build.audit import audit_run
from mbrl.run.build.on_policy import on_policy_run
from mbrl.run.experience import MixedData
from mbrl.run.learning import Learning

GAME = ["dataset.source=game/sign_agreement/uniform/200", "train.eval_episodes=1"]
RUNS = {
    "ravl with mopo's penalty": ["agent=ravl", "penalty=mopo_pairwise"],
    "mobile with an oracle in the update": [
        *("agent=mobile", "dynamics=mujoco", "edge=oracle", "edge.when=update", "edge.horizon=3"),
        "train.bias_states=4",
        "agent.actor_lr_cosine=6",
    ],
    "coda": [*GAME, "agent=maddpg_cql", "source=coda"],
    "coda's model in rollouts": [
        *(*GAME, "agent=masac", "source=coda_rollout", "dynamics.termination=none"),
        "penalty=mopo_pairwise",
    ],
}


LENGTH = ["train.updates=6", "train.log_every=5"]


def make(folder, *overrides, device="cuda"):
    common = ["preset=debug", "seeds=[3,1]", *LENGTH, f"out={folder}", f"device={device}"]
    config = compose([*common, *overrides])
    for part in (config.dynamics, getattr(config.source, "diffusion", None)):
        if hasattr(part, "cache"):
            part.cache = str(folder.parent / "cache")
    return config


def learned(folder):
    return flatten(load_tree(folder / "checkpoint")[0]["agent"])


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", RUNS)
def test_a_run_captured_or_not_leaves_the_same_bits_and_resumes_on_a_cpu(name, tmp_path):
    eager = train_from_config(make(tmp_path / "eager", *RUNS[name], "train.accelerate=eager"))
    auto = train_from_config(make(tmp_path / "auto", *RUNS[name]))
    a, b = learned(eager), learned(auto)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    more = [*RUNS[name], "resume=true", "overwrite=false"]
    half = train_from_config(make(tmp_path / "half", *RUNS[name], "train.updates=5"))
    train_from_config(make(half, *more, device="cpu"))
    result = json.loads((half / "result.json").read_text())
    assert (result["status"], result["updates"]) == ("finished", 6)
    assert {row["update"] for row in read_metrics(half / "metrics.jsonl")} >= {5, 6}


@pytest.mark.usefixtures("cuda")
def test_what_reads_a_run_reads_it_on_either_device(tmp_path):
    single = train_from_config(make(tmp_path / "single", "agent=ravl"))
    joint = train_from_config(make(tmp_path / "joint", *GAME, "agent=matd3_bc", "source=coda"))
    for folder in (single, joint):
        found, expected = (
            evaluate_run(folder, episodes=2, device=device)["return"] for device in ("cuda", "cpu")
        )
        assert found == pytest.approx(expected, rel=1e-3)
    audit_run(single, device="cuda")
    (curve,) = on_policy_run(joint, segments=20, device="cuda")
    assert all(math.isfinite(point.action_distance) for point in curve.points)


DRAWS = {
    "mopo": RUNS["ravl with mopo's penalty"],
    "morel, two models": ["agent=morel", "dynamics.per_seed=true"],
    "pjap": ["agent=sac", "source=pjap", "train.real_ratio=0"],
    "coda": RUNS["coda"],
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_refresh_waits_for_the_device_to_count_its_rows_and_for_nothing_else(
    name, tmp_path, cuda, monkeypatch
):
    drawn = []
    refresh = MixedData.refresh

    def watched(self: MixedData, policy: Policy, streams: Streams) -> dict[str, torch.Tensor]:
        draw = self.source.draw

        def checked(*args):
            # The first draw may keep what it brings over.
            if not drawn:
                return draw(*args)
            with cuda.no_waiting():
                return draw(*args)

        monkeypatch.setattr(self.source, "draw", checked)
        try:
            return refresh(self, policy, streams)
        finally:
            drawn.append(True)
            monkeypatch.setattr(self.source, "draw", draw)

    monkeypatch.setattr(MixedData, "refresh", watched)
    train_from_config(make(tmp_path / "run", *DRAWS[name]))
    assert len(drawn) > 1


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(("seeds", "eager", "left"), [((0,), 268, 7), ((0, 1, 2, 3, 4, 5), 286, 22)])
def test_what_a_captured_step_of_a_run_leaves_to_be_launched(seeds, eager, left, tmp_path, monkeypatch):
    """docs/performance.md says these numbers. Three steps are ordinary ones, the fourth is the capture."""
    step, counts = Learning.step, []

    def counted(self):
        with Launches() as found:
            step(self)
        counts.append(found.count)

    monkeypatch.setattr(Learning, "step", counted)
    plan = ["train.updates=7", "train.eval_every=7", "train.log_every=7"]
    options = ["agent=ravl", "agent.num_critics=10", "agent.eta=1", *plan]
    train_from_config(make(tmp_path / "run", *options, f"seeds={list(seeds)}"))
    assert counts[1:3] == [eager] * 2
    assert counts[4:] == [left] * 3
