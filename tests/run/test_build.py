"""The composition root: configurations run end to end under the debug preset; what does not fit is refused."""

import json

import pytest
import torch

from mbrl.agents.multi import MULTI_AGENTS
from mbrl.conf import all_choices, compose, load_config
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import CheckpointError, ConfigError, DataError, MismatchError
from mbrl.core.log import read_metrics
from mbrl.run.build import evaluate_run, train_from_config
from mbrl.run.folder import alone

CHOICES = all_choices()
RUNS = [
    *([f"agent={agent}"] for agent in CHOICES["agent"] if agent not in ("custom", *MULTI_AGENTS)),
    *(["agent=ravl", f"source={source}"] for source in ("coda", "static", "unguided", "coda_rollout")),
    ["agent=sac", "source=none"],
    ["agent=sac", "source=pjap", "train.real_ratio=0"],
    ["agent=ravl", "dynamics.per_seed=true", "seeds=[3,1]"],
    ["agent=mobile", "dynamics.per_seed=true", "seeds=[3,1]", "edge=constant"],
    ["agent=combo", "agent.states=model", "seeds=[3,1]"],
    ["agent=combo", "source=none", "train.real_ratio=1"],
    ["agent=ravl", "source=rambo", "dynamics.per_seed=true", "seeds=[3,1]", "edge=drop"],
    ["agent=ravl", "dynamics.termination=none"],
    ["agent=ravl", "dynamics.termination=mbrl.dynamics.termination.never", "agent.auto_alpha=false"],
    ["agent=custom", "agent._target_=mbrl.agents.BC", "agent.kwargs={hidden: [8]}"],
]


TASKS = [task for task in CHOICES["task"] if task != "none"]


def make(folder, *overrides):
    caches = [f"{part}.cache={folder.parent / 'cache'}" for part in ("dynamics", "source.diffusion")]
    common = [f"out={folder}", "device=cpu", "preset=debug"]
    config = compose([*common, *overrides])
    kept = [key for key in caches if key.startswith("dynamics") or hasattr(config.source, "diffusion")]
    return compose([*common, *kept, *overrides])


@pytest.mark.parametrize("overrides", RUNS, ids=" ".join)
def test_runs_end_to_end(overrides, tmp_path):
    config = make(tmp_path / "run", *overrides)
    folder = train_from_config(config)
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["updates"] == config.train.updates
    assert len(result["return"]["last"]) == len(config.seeds)
    assert result["normalized"] is None  # the sample is no D4RL dataset
    assert {"id", "sha256", "transitions"} <= set(result["dataset"])
    assert {"python", "torch", "numpy", "gymnasium", "mujoco", "mbrl"} <= set(result["versions"])
    assert load_config(folder / "config.yaml") == config
    fitted = config.source.name in ("rollout", "rambo", "coda_rollout")
    assert any((folder / "tensorboard" / "dynamics").glob("events*")) == fitted
    assert {row["seed"] for row in read_metrics(folder / "metrics.jsonl")} == set(config.seeds)


@pytest.mark.pictures
def test_a_run_leaves_its_picture(tmp_path):
    folder = train_from_config(make(tmp_path / "run", "agent=ravl"))
    assert (folder / "run.png").stat().st_size > 10_000


@pytest.mark.parametrize("task", TASKS)
def test_every_published_setting_is_a_valid_configuration(task, tmp_path):
    assert make(tmp_path / "run", f"task={task}").dataset.source.endswith(task.split("/")[1])


@pytest.mark.parametrize(
    "task", [t for t in TASKS if t.endswith(("hopper-medium-v2", "halfcheetah-random-v2"))]
)
def test_published_settings_of_each_method_run(task, tmp_path):
    """With the sample in place of its dataset, and the sizes of the debug preset."""
    config = make(tmp_path / "run", f"task={task}", "dataset=sample", "train.updates=2")
    result = json.loads((train_from_config(config) / "result.json").read_text())
    assert result["status"] == "finished"


def test_model_is_fitted_once(tmp_path, capsys):
    train_from_config(make(tmp_path / "a"))
    (entry,) = (tmp_path / "cache").glob("ensemble-*/meta.json")
    written = entry.stat().st_mtime_ns
    train_from_config(make(tmp_path / "b", "seeds=[5]"))
    assert [p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("ensemble-*/meta.json")] == [written]


@pytest.mark.parametrize("agent", ["ravl", "mobile", "combo"])
def test_resume_equals_uninterrupted(tmp_path, agent):
    chosen = [f"agent={agent}", "agent.actor_lr_cosine=6"]
    whole = train_from_config(make(tmp_path / "whole", *chosen, "train.updates=6"))
    train_from_config(make(tmp_path / "parts", *chosen, "train.updates=3"))
    more = [*chosen, "train.updates=6", "resume=true", "overwrite=false"]
    parts = train_from_config(make(tmp_path / "parts", *more))
    a, b = (load_tree(f / "checkpoint")[0]["agent"]["critics"] for f in (whole, parts))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_resume_with_other_settings_is_refused(tmp_path):
    train_from_config(make(tmp_path / "run"))
    with pytest.raises(
        MismatchError, match="cannot be resumed with other settings: agent.gamma: 0.9, was 0.99"
    ):
        train_from_config(make(tmp_path / "run", "resume=true", "overwrite=false", "agent.gamma=0.9"))


def test_folder_with_a_run_is_kept(tmp_path):
    folder = train_from_config(make(tmp_path / "run"))
    before = (folder / "result.json").read_bytes()
    with pytest.raises(ConfigError, match="already holds a run.*resume=true.*overwrite=true"):
        train_from_config(make(tmp_path / "run", "overwrite=false"))
    assert (folder / "result.json").read_bytes() == before


def test_unwritable_folder_is_found_out_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written.*choose another out="):
        train_from_config(make(tmp_path / "file" / "run"))
    assert "dataset" not in capsys.readouterr().out


def test_environment_of_other_dims(tmp_path):
    with pytest.raises(MismatchError, match=r"Hopper-v5.*11"):
        train_from_config(make(tmp_path / "run", "dataset.env=Hopper-v5"))


def test_unknown_environment_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="InvertedDoublePendulum-v5"):
        train_from_config(make(tmp_path / "run", "dataset.env=InvertedDoublePendulm-v5"))


def test_unknown_target(tmp_path):
    with pytest.raises(ConfigError, match="_target_ 'no.such.Thing' cannot be imported"):
        train_from_config(make(tmp_path / "run", "agent=custom", "agent._target_=no.such.Thing"))


@pytest.mark.parametrize("agent", ["ravl", "mobile"])
def test_evaluate_run_reads_the_folder_alone(tmp_path, agent):
    folder = train_from_config(make(tmp_path / "run", f"agent={agent}", "seeds=[4,7]"))
    found = evaluate_run(folder, episodes=2, device="cpu")
    assert found["seeds"] == [4, 7]
    assert found == evaluate_run(folder, episodes=2, device="cpu")
    one = evaluate_run(folder, episodes=2, seeds=[7], device="cpu")
    assert one["return"] == found["return"][1:]
    with pytest.raises(MismatchError, match=r"has seeds \[4, 7\], not \[5\]"):
        evaluate_run(folder, episodes=2, seeds=[5], device="cpu")


def test_evaluate_without_a_checkpoint(tmp_path):
    folder = train_from_config(make(tmp_path / "run"))
    for name in ("checkpoint", "checkpoint.previous"):
        (folder / name / "tensors.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"checkpoint.*damaged"):
        evaluate_run(folder, episodes=1, device="cpu")


def test_a_folder_in_which_another_process_trains_is_refused_before_any_work(tmp_path):
    config = make(
        tmp_path / "run", "dataset=npz", f"dataset.source={tmp_path}/missing.npz", "dataset.env=Hopper-v5"
    )
    with alone([tmp_path / "run"]), pytest.raises(ConfigError, match="another process is training"):
        train_from_config(config)
    with pytest.raises(DataError, match="missing.npz"):
        train_from_config(config)


def test_a_damaged_checkpoint_without_another_is_named_before_any_work(tmp_path):
    other = ["dataset=npz", f"dataset.source={tmp_path}/missing.npz", "dataset.env=Hopper-v5"]
    other += ["resume=true", "overwrite=false"]
    (tmp_path / "run/checkpoint").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"run/checkpoint/tensors.safetensors: damaged"):
        train_from_config(make(tmp_path / "run", *other))
