"""RAMBO from a configuration: its model is a copy that changes, pretraining comes once, two parts are one run."""

import json

import pytest
import torch

from mbrl.conf import compose
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.log import read_metrics
from mbrl.dynamics import Ensemble, load_model
from mbrl.run.build import dataset_from_config, train_from_config
from mbrl.run.build.adversary import adversary_from_config
from mbrl.run.build.source import source_from_config
from tests.fakes import Walk


def make(folder, *overrides):
    common = [f"out={folder}", f"dynamics.cache={folder.parent / 'cache'}", "device=cpu", "preset=debug"]
    return compose([*common, "agent=rambo", *overrides])


def tensors(folder):
    return flatten(load_tree(folder / "checkpoint")[0])


def test_the_models_of_two_seeds_part_and_the_cached_fit_stays(tmp_path):
    folder = train_from_config(make(tmp_path / "run", "seeds=[3,1]"))
    (entry,) = (tmp_path / "cache").glob("ensemble-*/meta.json")
    fitted = load_model(entry.parent).networks()
    saved = tensors(folder)
    name = "net.layers.0.weight"
    found = saved[f"experience/source/adversary/networks/{name}"]
    assert found.shape[0] == 2
    assert not torch.equal(found[0], found[1])
    assert not any(torch.equal(seed, fitted[name][0]) for seed in found)
    # four updates, a refresh at each, a model phase of three steps before that at 2
    assert saved["experience/source/draws"].item() == 4
    assert saved["experience/source/adversary/done"].item() == 3
    logged = [row for row in read_metrics(folder / "metrics.jsonl") if "model/change" in row]
    assert {row["seed"] for row in logged} == {1, 3}
    assert all(row["model/change"] > 0 and row["model/alive"] > 0 for row in logged)


def test_resume_equals_uninterrupted_and_does_not_pretrain_again(tmp_path, capsys):
    whole = train_from_config(make(tmp_path / "whole", "train.updates=8"))
    assert capsys.readouterr().out.count("1 epochs of behaviour cloning") == 1
    train_from_config(make(tmp_path / "parts", "train.updates=3"))
    capsys.readouterr()
    parts = train_from_config(make(tmp_path / "parts", "train.updates=8", "resume=true", "overwrite=false"))
    assert "behaviour cloning" not in capsys.readouterr().out
    a, b = ({k: v for k, v in tensors(f).items() if not k.startswith("sums")} for f in (whole, parts))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_resumed_with_another_adversary_is_refused(tmp_path):
    train_from_config(make(tmp_path / "run"))
    with pytest.raises(MismatchError, match=r"source.adv_weight: 0.1, was 0.0003"):
        train_from_config(make(tmp_path / "run", "resume=true", "overwrite=false", "source.adv_weight=0.1"))


def test_pretraining_moves_the_actor_before_the_first_update_and_is_logged(tmp_path):
    with_it = train_from_config(make(tmp_path / "a", "train.updates=1", "agent.pretrain_epochs=2"))
    without = train_from_config(make(tmp_path / "b", "train.updates=1", "agent.pretrain_epochs=0"))
    a, b = tensors(with_it), tensors(without)
    weight = "agent/actor/net.layers.0.weight"
    assert not torch.allclose(a[weight], b[weight], atol=1e-3)
    assert any((with_it / "tensorboard" / "pretrain").glob("events*"))
    assert not (without / "tensorboard" / "pretrain").exists()
    assert json.loads((with_it / "result.json").read_text())["updates"] == 1


def test_a_model_that_is_no_ensemble_is_refused(tmp_path):
    config = make(tmp_path / "run")
    dataset = dataset_from_config(config)
    with pytest.raises(ConfigError, match="source=rambo trains an ensemble, and dynamics=ensemble is a Walk"):
        adversary_from_config(config, dataset, Walk())


def test_phases_are_counted_in_refreshes_and_options_reach_the_model(tmp_path):
    given = ["source.refresh_every=50", "source.model_every=200", "source.sum_over_batch=true", "seeds=[3,1]"]
    config = make(tmp_path / "run", *given, "dynamics.logvar_coef=0.2", "source.model_lr=0.02")
    dataset = dataset_from_config(config)
    ensemble = Ensemble(
        dataset.obs_dim, dataset.action_dim, members=3, elites=2, hidden=(8,), weight_decay=(0, 0)
    )
    source = source_from_config(config, dataset, ensemble, torch.device("cpu"))
    model = source.adversary
    assert source.every == 4
    assert source.rollouts.dynamics is model.dynamics
    assert model.dynamics is not ensemble
    assert model.dynamics.seeds == (3, 1)
    assert (model.horizon, model.updates, model.batch_size, model.logvar_coef) == (2, 3, 16, 0.2)
    assert (model.adv_weight, model.sum_over_batch) == (3e-4, True)
    assert {group["lr"] for group in model.optimiser.param_groups} == {0.02}
    assert len(model.inputs) == len(dataset.with_successor())
