"""Samples of a run against the truth: of games, of teams and of one robot; runs without samples are refused."""

import json
import runpy
import sys

import pytest
import torch

from mbrl.conf import compose
from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.datasets import load
from mbrl.run.build import train_from_config
from mbrl.run.build.on_policy import on_policy_run, truth_of
from mbrl.run.build.parts import dataset_from_config

CPU = torch.device("cpu")
GAME = ["agent=matd3_bc", "dataset.source=game/sign_agreement/uniform/200"]


def run(folder, *overrides):
    caches = [f"source.diffusion.cache={folder.parent / 'cache'}"] if "source=none" not in overrides else []
    return train_from_config(
        compose(["preset=debug", "device=cpu", f"out={folder}", "seeds=[0,1]", *caches, *overrides])
    )


@pytest.mark.parametrize("source", ["sample/hopper-3x1-random-v0", "sample"])
def test_the_truth_of_recorded_rows_is_what_was_recorded(source):
    data = load(source, verbose=False)
    rows = data.transitions[torch.arange(200)]
    next_obs, reward = truth_of(data.env, CPU)(rows.obs, rows.action)[:2]
    known = reward.isfinite() & next_obs.flatten(1).isfinite().all(-1)
    assert known.float().mean() > 0.5
    assert torch.allclose(next_obs.float()[known], rows.next_obs[known], atol=1e-3)
    assert torch.allclose(reward.float()[known], rows.reward[known], atol=1e-4)


def test_the_truth_of_a_game_is_its_reward():
    data = dataset_from_config(compose(GAME))
    rows = data.transitions
    assert torch.allclose(truth_of(data.env, CPU)(rows.obs, rows.action)[1], rows.reward, atol=1e-6)


def test_a_robot_whose_truth_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="Walker2d"):
        truth_of(EnvSpec("mamujoco/Walker2d-2x3-v1"), CPU)


def test_velocities_at_their_bound_have_no_truth():
    data = load("sample/hopper-3x1-random-v0", verbose=False)
    rows = data.transitions[torch.arange(4)]
    rows.obs[0] = 10.0 * data.layout.obs_mask()
    next_obs, reward = truth_of(data.env, CPU)(rows.obs, rows.action)
    assert reward.isfinite().tolist() == [False, True, True, True]
    assert next_obs[0].isnan().all()


def test_curves_of_a_run(tmp_path):
    folder = run(tmp_path / "run", *GAME, "source=coda")
    curves = on_policy_run(
        folder, guides=["posterior", "noisy"], weights=[0.0, 1.0], segments=20, device="cpu"
    )
    assert [(c.env, c.policy, c.guide) for c in curves] == [
        ("game/SignAgreement-v0", "matd3_bc", guide) for guide in ("posterior", "noisy")
    ]
    first, second = (curve.points for curve in curves)
    # Without guidance there is no difference between guides; the noise is the same.
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert [len(p.seeds) for p in first] == [2, 2]
    # A game's data are true, and have no step.
    assert curves[0].data.reward_error < 1e-6
    assert curves[0].data.step_error is None


def test_curves_of_a_team(tmp_path):
    # Enough for states that can be: those of a raw network in a few steps are beyond what Hopper can be set to.
    fit = ("diffusion.steps=200", "diffusion.ema=0.9", "diffusion.lr=0.003", "sampling_steps=16")
    options = ["source=coda", *(f"source.{option}" for option in fit), "train.updates=2"]
    folder = run(tmp_path / "run", "agent=masac", "dataset.source=sample/hopper-3x1-random-v0", *options)
    (curve,) = on_policy_run(folder, weights=[0.0, 1.0], segments=5, device="cpu")
    assert curve.env == "mamujoco/Hopper-3x1-v1"
    # The data's own rows are what the simulator makes of them; those of a network hardly fitted are not.
    assert curve.data.step_error < 1e-3
    assert curve.data.reward_error < 1e-3
    assert min(p.step_error for p in curve.points) > 0.1
    assert curve.about["seeds"] == [0, 1]
    assert len(curve.about["step_std"]) == 3


def test_the_script_writes_figures_and_a_picture(tmp_path, monkeypatch, capsys):
    folder = run(tmp_path / "run", *GAME, "source=coda")
    args = ["on_policyness.py", str(folder), "--weights", "0", "1", "--segments", "10", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [*args, "--name", "near"])
    runpy.run_path("scripts/on_policyness.py", run_name="__main__")
    (found,) = json.loads((folder / "near.json").read_text())
    assert [p["weight"] for p in found["points"]] == [0, 1]
    assert found["guide"] == "posterior"
    assert (folder / "near.png").stat().st_size > 10_000
    assert str(folder / "near.png") in capsys.readouterr().out


def test_a_run_without_a_diffusion_model_is_refused(tmp_path):
    folder = run(tmp_path / "run", *GAME, "source=none", "train.real_ratio=1")
    with pytest.raises(ConfigError, match="source=none samples no diffusion model"):
        on_policy_run(folder)
