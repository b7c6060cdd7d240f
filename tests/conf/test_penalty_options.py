"""Penalties and the methods built on them: published settings by task, and what does not fit together."""

import re
from pathlib import Path

import pytest

from mbrl.conf import all_choices, compose, load_config, save_config
from mbrl.conf.schema import MorelConf, PenaltyConf, RewardPenaltyConf, RolloutConf, SacConf
from mbrl.conf.store import KINDS
from mbrl.conf.validate import DIMS, MEMBERS
from mbrl.core.errors import ConfigError
from mbrl.datasets.names import PATHS
from mbrl.dynamics import uncertainty
from mbrl.run.build.penalty import PENALTIES

CONF = Path(__file__).resolve().parents[2] / "mbrl/conf"
CHOICES = all_choices()

V2 = {  # rollout length and lambda, as OfflineRL-Kit lists them
    "halfcheetah-medium": (5, 0.5),
    "hopper-medium": (5, 5.0),
    "walker2d-medium": (5, 0.5),
    "halfcheetah-medium-replay": (5, 0.5),
    "hopper-medium-replay": (5, 2.5),
    "walker2d-medium-replay": (1, 2.5),
    "halfcheetah-medium-expert": (5, 2.5),
    "hopper-medium-expert": (5, 5.0),
    "walker2d-medium-expert": (1, 2.5),
}
V0 = {  # rollout length and penalty_coeff of the official code
    "halfcheetah-random": (5, 0.5),
    "halfcheetah-medium": (1, 1.0),
    "halfcheetah-medium-replay": (5, 1.0),
    "halfcheetah-medium-expert": (5, 5.0),
    "hopper-random": (5, 1.0),
    "hopper-medium": (5, 5.0),
    "hopper-medium-replay": (5, 1.0),
    "hopper-medium-expert": (5, 1.0),
    "walker2d-random": (1, 1.0),
    "walker2d-medium": (5, 5.0),
    "walker2d-medium-replay": (1, 1.0),
    "walker2d-medium-expert": (1, 2.0),
}
TWO = {"num_critics": 2, "eta": 0.0, "hidden": [256, 256]}


@pytest.mark.parametrize("task", V2)
def test_mopos_settings_on_v2(task: str) -> None:
    config, (horizon, coefficient) = compose([f"task=mopo/{task}-v2"]), V2[task]
    assert config.dataset.source == f"d4rl/{task}-v2"
    assert config.penalty == RewardPenaltyConf("mopo_aleatoric", coefficient, "all", "obs_reward")
    assert config.source == RolloutConf(horizon=horizon)
    rates = {"actor_lr": 1e-4, "actor_lr_cosine": 3_000_000, "critic_lr": 3e-4, "alpha_lr": 1e-4}
    assert config.agent == SacConf(label="mopo", alpha_max=1.0, **TWO, **rates)
    assert (config.train.updates, config.train.real_ratio) == (3_000_000, 0.05)


@pytest.mark.parametrize("task", V0)
def test_mopos_settings_on_v0(task: str) -> None:
    config, (horizon, coefficient) = compose([f"task=mopo/{task}-v0"]), V0[task]
    assert config.dataset.source == f"d4rl/{task}-v0"
    assert f"{task}-v0" in PATHS
    assert config.penalty == RewardPenaltyConf("mopo_aleatoric", coefficient, "all", "obs_reward")
    assert config.source == RolloutConf(horizon=horizon)
    rates = {"actor_lr": 3e-4, "critic_lr": 3e-4, "alpha_lr": 3e-4}
    assert config.agent == SacConf(label="mopo_original", target_entropy=-3.0, **TWO, **rates)
    assert (config.train.updates, config.train.real_ratio) == (1_000_000, 0.05)


@pytest.mark.parametrize("task", V2)
def test_morels_settings(task: str) -> None:
    config = compose([f"task=morel/{task}-v2"])
    assert config.dataset.source == f"d4rl/{task}-v2"
    assert config.penalty == MorelConf(coefficient=1.0, offset=-200.0, members="elites", dims="obs_reward")
    assert config.source == RolloutConf(horizon=5)
    rates = {"actor_lr": 1e-4, "critic_lr": 1e-4, "alpha_lr": 1e-4}
    assert config.agent == SacConf(label="morel", num_critics=10, eta=0.0, **rates)
    assert (config.train.updates, config.train.real_ratio) == (3_000_000, 0.01)


def test_every_published_setting_is_in_a_table_and_names_its_source() -> None:
    expected = {f"mopo/{t}-v2" for t in V2} | {f"mopo/{t}-v0" for t in V0} | {f"morel/{t}-v2" for t in V2}
    assert {t for t in CHOICES["task"] if t.startswith(("mopo/", "morel/"))} == expected
    for task in expected:
        assert re.search(r"# .*github\.com/", (CONF / f"task/{task}.yaml").read_text()), task


def test_options_penalties_and_schemas_have_the_same_names() -> None:
    assert set(PENALTIES) == set(KINDS["penalty"]) == set(CHOICES["penalty"]) - {"mopo"}
    for name in PENALTIES:
        assert compose([f"penalty={name}"]).penalty.name == name
    assert compose(["penalty=mopo"]).penalty == compose(["penalty=mopo_aleatoric"]).penalty
    assert compose([]).penalty == PenaltyConf()


def test_what_may_be_counted_is_what_the_measures_know() -> None:
    assert set(MEMBERS) == set(uncertainty.MEMBERS)
    assert set(DIMS) == set(uncertainty.DIMS)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("mopo_aleatoric", "max_aleatoric"),
        ("mopo_pairwise", "max_pairwise_diff"),
        ("mopo_std", "ensemble_std"),
        ("morel", "max_discrepancy"),
    ],
)
def test_options_count_what_their_measures_count_by_default(name: str, measure: str) -> None:
    conf = compose([f"penalty={name}"]).penalty
    assert uncertainty.MEASURES[measure].__kwdefaults__ == {"members": conf.members, "dims": conf.dims}


@pytest.mark.parametrize("agent", ["mopo", "mopo_original", "morel"])
def test_a_method_is_two_critics_and_its_penalty_which_may_be_another(agent: str) -> None:
    config = compose([f"agent={agent}", "penalty=mopo_std", "train.updates=7"])
    assert (config.agent.label, config.agent.num_critics, config.agent.eta) == (agent, 2, 0.0)
    assert config.penalty.name == "mopo_std"
    assert config.agent.actor_lr_cosine == (7 if agent == "mopo" else None)
    assert compose([f"agent={agent}"]).penalty.name == ("morel" if agent == "morel" else "mopo_aleatoric")


@pytest.mark.parametrize("name", ["mopo_pairwise", "morel"])
def test_a_penalty_comes_back_from_a_run_folder(name: str, tmp_path: Path) -> None:
    config = compose([f"penalty={name}", "penalty.coefficient=0.25", "penalty.members=elites"])
    save_config(tmp_path / "config.yaml", config)
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["penalty=mopo", "source=none"],
            "penalty=mopo_aleatoric acts in rollouts, which source=none has not",
        ),
        (["penalty=mopo", "penalty.coefficient=-1"], "penalty.coefficient must be at least 0, got -1.0"),
        (["penalty=mopo", "penalty.members=elite"], "unknown penalty.members 'elite'; did you mean 'elites'"),
        (["penalty=morel", "penalty.dims=reward"], "unknown penalty.dims 'reward'"),
        (["penalty=morel", "penalty.offset=30"], "penalty.offset must be at most 0, got 30.0"),
        (["penalty=morel", "penalty.threshold=-1"], "penalty.threshold must be at least 0"),
        (["penalty=morel", "penalty.kappa=-1"], "penalty.kappa must be at least 0"),
        (["penalty.coefficient=1"], "unknown option 'penalty.coefficient'"),
        (["penalty=mopo_stdd"], "unknown penalty option 'mopo_stdd'; did you mean 'mopo_std'"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        compose(overrides)
