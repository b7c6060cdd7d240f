"""Audits of whole runs under the debug preset: what they write, for which kinds of run, and what they refuse."""

import json
import math
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from mbrl.conf import compose, load_config, save_config
from mbrl.core.checkpoint import flatten, load_tree, save_tree, unflatten
from mbrl.core.errors import CheckpointError, ConfigError, DivergenceError, MismatchError
from mbrl.datasets import load
from mbrl.diagnose.measure import Measured
from mbrl.diagnose.verdict import NO_EDGE, ORDER, UNKNOWN
from mbrl.run.build import train_from_config
from mbrl.run.build.audit import audit_run
from tests.diagnose.html import Page

SIZES = {"starts": 20, "mc_horizon": 15, "device": "cpu", "progress": False}
CACHE = {"dynamics=mujoco": None, "dynamics=interpolated": "dynamics.ensemble.cache"}
"""Where a model's cache is set; "dynamics.cache" for all others."""


def train(folder, *overrides):
    option = next((CACHE[o] for o in overrides if o in CACHE), "dynamics.cache")
    cache = [f"{option}={folder.parent / 'cache'}"] if option else []
    return train_from_config(compose([f"out={folder}", "device=cpu", "preset=debug", *overrides, *cache]))


def audit(run, *, drawn=False, **options):
    """JSON and page; without pictures, which take most of the time, unless they are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr("mbrl.diagnose.audit.pictures", lambda *arguments: {})
        page = audit_run(run, **SIZES | options)
    return json.loads((page.parent / "audit.json").read_text()), Page.read(page.read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run in a learned model, with three critics and two seeds; copy it before changing it."""
    return train(tmp_path_factory.mktemp("trained") / "run", "agent=ravl", "seeds=[3,7]")


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


def numbers(x):
    if isinstance(x, dict | list):
        return [n for v in (x.values() if isinstance(x, dict) else x) for n in numbers(v)]
    return [x] if isinstance(x, float) else []


def test_a_run_in_a_learned_model(run, tmp_path):
    found, page = audit(run, drawn=True)
    assert set(found) == {"about", "seeds", "verdict", "propagation"} | {
        f.name for f in fields(Measured) if f.name != "scatter"
    }
    assert found["seeds"] == [3, 7]
    assert found["verdict"]["name"] in ORDER
    assert len(found["verdict"]["findings"]) == 7
    assert found["missing"] == {}
    assert all(map(math.isfinite, numbers(found)))
    assert np.shape(found["bias"]["overestimate"]["min_soft"]["mean"]) == (2, 3)
    assert found["about"]["critics"] == 3
    # a twentieth of 16 rows is none: a batch is synthetic throughout
    assert found["share"]["batch"] == found["share"]["synthetic"]
    assert found["about"]["update"] == 4
    assert page.open == []
    assert page.tags.isdisjoint({"script", "link", "iframe"})
    images = [a for tag, a in page.attributes if tag == "img"]
    assert len(images) == 6
    assert all(a["src"].startswith("data:image/png;base64,") for a in images)
    assert not any(name in a for _, a in page.attributes for name in ("href", "onclick", "onload"))
    assert found["verdict"]["name"] in page.text
    assert "Rows left out because their simulator state is not known, a seed: [0, 0]" in page.text
    audit(run, drawn=True, out=tmp_path / "again")
    for name in ("audit.html", "audit.json"):
        assert (tmp_path / "again" / name).read_bytes() == (run / "diagnose" / name).read_bytes()


def test_the_run_is_left_as_it_was(run, tmp_path):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    audit(run, out=tmp_path / "out")
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_some_seeds_are_their_part_of_all(run):
    whole, _ = audit(run)
    one, page = audit(run, seeds=[7])
    assert one["seeds"] == [7]
    means = (x["bias"]["overestimate"]["min_soft"]["mean"] for x in (whole, one))
    assert next(means)[1:] == next(means)
    assert one["verdict"]["by_seed"] == whole["verdict"]["by_seed"][1:]
    assert "seed 3" not in page.text


KINDS = [
    (["agent=sac", "dynamics=mujoco"], {"one_step", "paired"}),
    (["agent=sac", "dynamics=interpolated"], set()),
    (["agent=morel"], set()),
    (["agent=mobile"], set()),
    (["agent=ravl", "edge=drop", "source.horizon=3"], set()),
    (["agent=sac", "edge=oracle", "edge.horizon=3"], set()),
]


@pytest.mark.parametrize(("overrides", "missing"), KINDS, ids=[" ".join(o) for o, _ in KINDS])
def test_kinds_of_runs(overrides, missing, tmp_path):
    found, page = audit(train(tmp_path / "run", *overrides))
    assert set(found["missing"]) == missing
    assert page.open == []
    assert found["horizon"] == 2
    assert found["exact"] == ("dynamics=mujoco" in overrides)


def test_an_adversary_is_audited_as_it_was_trained(tmp_path):
    """The model is the one in the checkpoint, not the one that was fitted, and it is not trained any further."""
    run = train(tmp_path / "run", "agent=rambo")
    before, _ = audit(run)
    tree, meta = load_tree(run / "checkpoint")
    state = flatten(tree["experience"]["source"])
    moved = {k: v + 0.05 if "net." in k and "optimiser" not in k else v for k, v in state.items()}
    assert any(not torch.equal(moved[k], state[k]) for k in state)
    tree["experience"]["source"] = unflatten(moved)
    save_tree(run / "checkpoint-diverged", tree, meta)
    after, _ = audit(run, checkpoint="checkpoint-diverged")
    assert after["one_step"]["next_obs"]["mean"] != before["one_step"]["next_obs"]["mean"]


def test_a_perfect_model_has_no_uncertainty_to_correlate(tmp_path):
    found, _ = audit(train(tmp_path / "run", "agent=mobile", "dynamics=mujoco"))
    for figures in found["correlation"].values():
        assert figures["pearson"] == [None] * len(found["seeds"])
        assert figures["reason"][0] == "the measure is constant (0): nothing to correlate"
    assert "mobile" in found["correlation"]


def test_a_run_without_rollouts(tmp_path):
    found, page = audit(train(tmp_path / "run", "agent=edac", "source=none"))
    assert found["verdict"]["name"] == NO_EDGE
    assert "no model rollouts" in page.text
    assert np.shape(found["bias"]["overestimate"]["min_soft"]["mean"]) == (1, 1)
    assert set(found["values"]) == {"data"}


def test_a_run_without_critics(tmp_path):
    found, page = audit(train(tmp_path / "run", "agent=bc"))
    assert found["verdict"]["name"] == NO_EDGE
    assert found["values"] is None
    assert "the agent has no critics" in page.text


def own_arrays(folder):
    """400 rows of the sample as a file of one's own, without simulator state."""
    rows = load("sample", verbose=False).transitions[:400]
    arrays = {"observations": rows.obs, "actions": rows.action, "rewards": rows.reward}
    arrays |= {"next_observations": rows.next_obs, "terminals": rows.terminal, "timeouts": rows.timeout}
    np.savez(folder / "own.npz", **{name: x.numpy() for name, x in arrays.items()})
    return ["dataset=npz", f"dataset.source={folder / 'own.npz'}"]


def test_an_environment_that_nobody_can_simulate(tmp_path):
    own = [*own_arrays(tmp_path), "dataset.env=null", "dynamics.termination=none"]
    found, page = audit(train(tmp_path / "run", "agent=sac", *own))
    assert found["verdict"]["name"] == UNKNOWN
    assert set(found["missing"]) == {"bias", "origin", "one_step", "paired"}
    assert "no simulator" in page.text
    assert found["nearness"] is not None


def test_starts_whose_state_is_not_known(tmp_path):
    """Without a recorded state the pendulum's own observation shows it: nothing is left out."""
    own = [*own_arrays(tmp_path), "dataset.env=InvertedPendulum-v5"]
    found, _ = audit(train(tmp_path / "run", "agent=sac", "dynamics=mujoco", *own))
    assert sum(map(sum, found["bias"]["left_out"])) == 0


def test_the_checkpoint_that_is_asked_for(run):
    tree, meta = load_tree(run / "checkpoint")
    save_tree(run / "checkpoint-diverged", tree, meta | {"update": 2})
    looks = [{"update": u, "seed": s, "reach/q_depth_2": 1.0} for u in range(5) for s in (3, 7)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(look) + "\n" for look in looks))
    for name, update, looked in (("checkpoint", 4, False), ("checkpoint-diverged", 2, None)):
        found, _ = audit(run, checkpoint=name)
        assert found["about"]["update"] == update
        # of the log only what had happened by then: five looks, or three, which are too few to tell
        assert found["verdict"]["findings"][-1]["holds"] == [looked] * 2
    with pytest.raises(CheckpointError, match="no checkpoint 'best'; there: checkpoint, checkpoint-diverged"):
        audit(run, checkpoint="best")


def test_networks_that_are_not_finite(run):
    tree, meta = load_tree(run / "checkpoint")
    tree["agent"]["actor"] = {k: torch.full_like(v, torch.nan) for k, v in tree["agent"]["actor"].items()}
    save_tree(run / "checkpoint-diverged", tree, meta)
    with pytest.raises(DivergenceError, match=r"seeds \[3, 7\].*take an earlier checkpoint"):
        audit(run, checkpoint="checkpoint-diverged")


def test_a_model_that_the_cache_has_lost(tmp_path, capsys):
    run = train(tmp_path / "run")
    before, _ = audit(run)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ConfigError, match="not in the cache .*add --fit"):
        audit(run)
    assert not (tmp_path / "cache").exists()
    after, _ = audit(run, fit=True)
    assert after == before


def test_another_dataset_under_the_same_name(tmp_path):
    sample = Path(__file__).parents[2] / "datasets/sample/invertedpendulum-v5-medium-replay-v0.hdf5"
    shutil.copy(sample, tmp_path / "data.hdf5")
    run = train(tmp_path / "run", "dataset=hdf5", f"dataset.source={tmp_path / 'data.hdf5'}")
    tree, meta = load_tree(run / "checkpoint")
    meta["dataset"]["sha256"] = "0" * 64
    save_tree(run / "checkpoint", tree, meta)
    with pytest.raises(MismatchError, match="sha256 0000.*restore the file"):
        audit(run)


def test_a_dataset_of_another_mujoco(run, tmp_path, monkeypatch):
    monkeypatch.setattr("mujoco.__version__", "3.5.0")
    with pytest.raises(MismatchError, match=r"recorded with mujoco 3\.4\.0 and this is mujoco 3\.5\.0"):
        audit(run)


def test_folders_and_options_that_do_not_fit(run, tmp_path):
    with pytest.raises(ConfigError, match="no run here"):
        audit(tmp_path)
    with pytest.raises(MismatchError, match=r"has seeds \[3, 7\], not \[5\]"):
        audit(run, seeds=[5])
    with pytest.raises(ConfigError, match="starts=1, mc_horizon=0"):
        audit(run, starts=1, mc_horizon=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="audit.json: cannot be written"):
        audit(run, out=tmp_path / "file" / "audit")


def test_a_configuration_that_the_checkpoint_does_not_fit(run):
    config = load_config(run / "config.yaml")
    config.agent.num_critics = 5
    save_config(run / "config.yaml", config)
    with pytest.raises(MismatchError, match="does not fit config.yaml"):
        audit(run)
