"""Agents that read the model: what the composition root gives them, and that a perfect model makes them SAC."""

import pytest
import torch

import mbrl.run.build
from mbrl.conf import compose
from mbrl.core.checkpoint import load_tree
from mbrl.core.log import read_metrics
from mbrl.dynamics.true_dynamics import TrueDynamics
from mbrl.run.build import dataset_from_config, train_from_config
from mbrl.run.build.source import source_from_config

RATES = ("agent.actor_lr=1e-3", "agent.critic_lr=1e-3", "agent.alpha_lr=1e-3", "agent.actor_lr_cosine=6")


def make(folder, *overrides):
    return compose([f"out={folder}", "device=cpu", "preset=debug", *overrides])


@pytest.fixture
def true_dynamics(monkeypatch):
    """Whatever model is asked for, the environment itself takes its place."""
    monkeypatch.setattr(
        mbrl.run.build,
        "dynamics_from_config",
        lambda config, dataset, device, **options: TrueDynamics(dataset.env, threads=1, device=device),
    )


@pytest.mark.parametrize(("agent", "kept"), [("mobile", True), ("sac", False)])
def test_rows_keep_the_simulators_state_for_agents_that_step_the_model(tmp_path, agent, kept):
    config = make(tmp_path, f"agent={agent}")
    dataset = dataset_from_config(config)
    source = source_from_config(config, dataset, TrueDynamics(dataset.env), torch.device("cpu"))
    assert source.keep_state == kept


@pytest.mark.usefixtures("true_dynamics")
def test_under_true_dynamics_mobile_is_sac_bit_for_bit_over_a_whole_run(tmp_path):
    common = [*RATES, "agent.alpha_max=1", "train.updates=6", "train.batch_size=32"]
    mobile, sac = (
        train_from_config(make(tmp_path / name, f"agent={name}", *common, *more))
        for name, more in (("mobile", ["agent.beta=5"]), ("sac", []))
    )
    a, b = (load_tree(run / "checkpoint")[0]["agent"] for run in (mobile, sac))
    for part in ("actor", "critics", "targets"):
        assert all(torch.equal(a[part][name], b[part][name]) for name in b[part]), part
    found = [row["critic/uncertainty"] for row in read_metrics(mobile / "metrics.jsonl") if len(row) > 5]
    assert found
    assert set(found) == {0.0}


def test_with_a_fitted_model_mobile_is_not_sac(tmp_path):
    run = train_from_config(make(tmp_path / "run", "agent=mobile", f"dynamics.cache={tmp_path / 'cache'}"))
    found = [row["critic/uncertainty"] for row in read_metrics(run / "metrics.jsonl") if len(row) > 5]
    assert found
    assert min(found) > 0
