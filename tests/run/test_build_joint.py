"""Runs of several agents, end to end under the debug preset; what does not fit is refused before any work."""

import json

import pytest
import torch

from mbrl.agents.multi import MULTI_AGENTS
from mbrl.conf import compose
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import ConfigError
from mbrl.core.log import read_metrics
from mbrl.run.build import evaluate_run, train_from_config
from mbrl.run.build.audit import audit_run
from mbrl.run.build.parts import dataset_from_config

GAME = "dataset.source=game/sign_agreement/uniform/200"
ROLLOUT = ["source=rollout", "dynamics.termination=none"]
RUNS = [
    *([f"agent={name}"] for name in MULTI_AGENTS),
    *(["agent=matd3_bc", f"source={name}"] for name in ("coda", "static", "unguided", "pjap")),
    ["agent=masac", "source=coda", "source.guide=conjugate", "source.schedule=ramp"],
    ["agent=masac", *ROLLOUT],
    ["agent=masac", "source=coda_rollout", "dynamics.termination=none", "penalty=mopo_pairwise"],
]


def make(folder, *overrides):
    cache = folder.parent / "cache"
    base = [GAME, f"out={folder}", "device=cpu", "preset=debug", "seeds=[0,1]", "train.eval_episodes=1"]
    base.append(f"dynamics.cache={cache}")
    if hasattr(compose([*base, *overrides]).source, "diffusion"):
        base.append(f"source.diffusion.cache={cache}")
    return compose([*base, *overrides])


@pytest.mark.parametrize("overrides", RUNS, ids=" ".join)
def test_runs_end_to_end_and_is_evaluated_from_its_folder(overrides, tmp_path):
    folder = train_from_config(make(tmp_path / "run", *overrides))
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["dataset"]["agents"]["action_dims"] == [1, 1]
    found = evaluate_run(folder, episodes=2, device="cpu")
    # A game's only start and a deterministic policy: every evaluation sees the same.
    assert found["return"] == pytest.approx(result["return"]["last"])


@pytest.mark.parametrize("source", ["static", "coda"])
def test_an_interrupted_run_goes_on_to_the_same_end(source, tmp_path):
    options = ["agent=matd3_bc", f"source={source}", "overwrite=false"]
    whole = train_from_config(make(tmp_path / "whole", *options))
    half = make(tmp_path / "half", *options, "train.updates=2")
    train_from_config(half)
    half.train.updates, half.resume = 4, True
    train_from_config(half)
    ends = [load_tree(folder / "checkpoint")[0] for folder in (whole, tmp_path / "half")]
    for name, value in ends[0]["agent"]["actors"].items():
        assert torch.equal(value, ends[1]["agent"]["actors"][name])


def test_static_rows_stay_and_refreshed_rows_change(tmp_path):
    for source, same in (("static", True), ("unguided", False)):
        folder = train_from_config(make(tmp_path / source, "agent=matd3_bc", f"source={source}"))
        rows = [row for row in read_metrics(folder / "metrics.jsonl") if "source/reward_mean" in row]
        drawn = {row["source/reward_mean"] for row in rows if row["seed"] == 0}
        assert (len(drawn) == 1) == same


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["agent=ravl"], "agent=sac is for one agent, and the dataset is of 2; choose one of matd3_bc"),
        (
            ["agent=matd3_bc", "dataset.source=sample/invertedpendulum-v5-medium-replay-v0"],
            "agent=matd3_bc is for several agents",
        ),
        (["agent=matd3_bc", "dataset.source=game/sign_agreemnt/uniform"], "sign_agreement"),
        (["agent=matd3_bc", "dataset.source=game/sign_agreement/unifrm"], "uniform"),
        (["agent=matd3_bc", "dataset.source=game/sign_agreement"], "write game/<game>/<data>"),
        (["agent=matd3_bc", "dataset.env=Hopper-v5"], "leave dataset.env out"),
        (["agent=matd3_bc", "source=coda", "source.segment=5"], "longest episode has 1"),
        (["agent=masac", "source=rollout"], "choose 'learned' or 'none'"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message, tmp_path):
    with pytest.raises(Exception, match=message) as caught:
        train_from_config(make(tmp_path / "run", *overrides))
    assert type(caught.value).__module__ == "mbrl.core.errors"
    assert not (tmp_path / "run" / "checkpoint").exists()


class NoDensity:
    """An agent that samples, and does not say how likely its samples are."""

    def __init__(self, obs_dim, action_dim, *, layout, seeds, device):
        pass

    def act(self, obs, streams=None):
        return torch.zeros(*obs.shape[:-1], 1)


def test_a_policy_that_cannot_guide_is_refused_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("mbrl.run.build.agent.import_target", lambda path: NoDensity)
    config = make(tmp_path / "run", "agent=custom", "agent._target_=a.B", "source=coda")
    with pytest.raises(ConfigError, match="a policy without log_prob"):
        train_from_config(config)
    assert not (tmp_path / "cache").exists()


def test_reach_audits_say_that_they_are_of_one_agent(tmp_path):
    folder = train_from_config(make(tmp_path / "run", "agent=masac", *ROLLOUT))
    with pytest.raises(ConfigError, match="reach audits are of one agent"):
        audit_run(folder)


def test_a_games_dataset_is_always_the_same():
    one, other = (dataset_from_config(compose([GAME, "agent=matd3_bc"])) for _ in range(2))
    assert one.sha256 == other.sha256
    assert (len(one), one.layout.agents) == (200, 2)


def test_a_stack_of_settings_of_a_team_is_its_single_runs(tmp_path):
    train_from_config(make(tmp_path / "both", "agent=matd3_bc", "stack={agent.bc_weight: [0,2]}"))
    for value in (0, 2):
        alone = train_from_config(make(tmp_path / f"{value}", "agent=matd3_bc", f"agent.bc_weight={value}"))
        ends = [
            load_tree(folder / "checkpoint")[0]["agent"]["actors"]
            for folder in (alone, tmp_path / f"both/bc_weight={value}")
        ]
        for name, weights in ends[0].items():
            assert torch.allclose(weights, ends[1][name], atol=1e-6)
