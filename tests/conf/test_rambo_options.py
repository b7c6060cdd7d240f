"""RAMBO's options: the published settings, what a preset makes of them, and what does not go together."""

from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from mbrl.conf import all_choices, compose, validate
from mbrl.conf.schema import (
    BcConf,
    Config,
    CustomDynamicsConf,
    DatasetConf,
    EnsembleConf,
    NoSourceConf,
    RamboConf,
    SacConf,
)
from mbrl.core.errors import ConfigError

OFFICIAL = {  # rollout length and weight in examples/config/rambo/mujoco of the official code
    "halfcheetah-random": (5, 0.0),
    "halfcheetah-medium": (5, 3e-4),
    "halfcheetah-medium-replay": (5, 3e-4),
    "halfcheetah-medium-expert": (5, 3e-4),
    "hopper-random": (2, 3e-4),
    "hopper-medium": (5, 3e-4),
    "hopper-medium-replay": (2, 3e-4),
    "hopper-medium-expert": (5, 3e-4),
    "walker2d-random": (5, 0.0),
    "walker2d-medium": (5, 0.0),
    "walker2d-medium-replay": (5, 0.0),
    "walker2d-medium-expert": (2, 3e-4),
}
OFFLINERL_KIT = {  # as OfflineRL-Kit suggests them
    "halfcheetah-medium": (5, 3e-4),
    "hopper-medium": (5, 3e-4),
    "walker2d-medium": (5, 0.0),
    "halfcheetah-medium-replay": (5, 3e-4),
    "hopper-medium-replay": (5, 3e-4),
    "walker2d-medium-replay": (5, 0.0),
    "halfcheetah-medium-expert": (5, 0.0),
    "hopper-medium-expert": (5, 0.0),
    "walker2d-medium-expert": (2, 3e-4),
}


@pytest.mark.parametrize("task", OFFICIAL)
def test_published_settings(task: str) -> None:
    config, (horizon, weight) = compose([f"task=rambo/{task}-v2"]), OFFICIAL[task]
    assert config.dataset.source == f"d4rl/{task}-v2"
    phase = {"model_updates": 1000 if weight else 0}
    assert config.source == RamboConf(
        starts=50_000, horizon=horizon, refresh_every=1000, retain=5, adv_weight=weight, **phase
    )
    assert (config.source.model_every, config.source.model_lr, config.source.model_batch_size) == (
        1000,
        3e-4,
        256,
    )
    assert config.agent == SacConf(
        label="rambo",
        num_critics=2,
        eta=0.0,
        hidden=[256, 256],
        gamma=0.99,
        tau=0.005,
        actor_lr=1e-4,
        critic_lr=3e-4,
        alpha_lr=1e-4,
        pretrain_epochs=50,
        pretrain_lr=1e-4,
    )
    assert config.dynamics == EnsembleConf(
        lr=3e-4, logvar_init=[-6.0, 1.0], logvar_coef=0.001, holdout_fraction=0.1, patience=10
    )
    assert (config.train.updates, config.train.real_ratio, config.penalty.name) == (2_000_000, 0.5, "none")


def test_every_published_setting_is_in_the_table() -> None:
    assert {t for t in all_choices()["task"] if t.startswith("rambo/")} == {f"rambo/{t}-v2" for t in OFFICIAL}


def test_a_file_says_where_offlinerl_kit_differs_and_nowhere_else() -> None:
    for task, (horizon, weight) in OFFLINERL_KIT.items():
        text = (files("mbrl.conf") / f"task/rambo/{task}-v2.yaml").read_text()
        assert ("OfflineRL-Kit differs here" in text) == ((horizon, weight) != OFFICIAL[task]), task


def test_the_source_alone_changes_neither_agent_nor_model() -> None:
    config, plain = compose(["source=rambo"]), compose()
    assert config.source == RamboConf()
    assert (config.agent, config.dynamics, config.train) == (plain.agent, plain.dynamics, plain.train)


def test_the_debug_preset_has_a_model_phase_within_its_few_updates() -> None:
    config = compose(["preset=debug", "agent=rambo"])
    source = config.source
    assert source.starts * source.horizon <= 100
    assert 0 < source.model_every < config.train.updates
    assert source.model_every > source.refresh_every
    assert 0 < source.model_updates <= 5
    assert config.agent.pretrain_epochs == config.dynamics.max_epochs == 1


def sound(**parts: Any) -> Config:
    given = {
        "dataset": DatasetConf("sample"),
        "dynamics": EnsembleConf(),
        "source": RamboConf(),
        "agent": SacConf(label="sac"),
    }
    return Config(**{**given, **parts})


def test_a_source_may_also_be_penalised_or_have_its_edge_treated() -> None:
    validate(sound())
    validate(compose(["source=rambo", "penalty=mopo_std", "edge=constant"]))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            {"dynamics": CustomDynamicsConf(_target_="a.B")},
            "which dynamics=custom does not allow; choose ensemble",
        ),
        ({"agent": BcConf()}, "agent=bc would imitate itself on synthetic rows"),
        (
            {"source": RamboConf(refresh_every=300)},
            "source.model_every=1000 must be a multiple of source.refresh_every=300",
        ),
        ({"source": RamboConf(adv_weight=-1.0)}, "source.adv_weight must be at least 0, got -1.0"),
        ({"source": RamboConf(model_every=0)}, "source.model_every must be at least 1, got 0"),
        ({"source": RamboConf(model_updates=-1)}, "source.model_updates must be at least 0, got -1"),
        ({"source": RamboConf(model_lr=0.0)}, "source.model_lr must be more than 0, got 0.0"),
        ({"source": RamboConf(model_batch_size=0)}, "source.model_batch_size must be at least 1"),
        ({"source": RamboConf(horizon=0)}, "source.horizon must be at least 1, got 0"),
        ({"source": RamboConf(retain=0)}, "source.retain must be at least 1, got 0"),
        ({"agent": SacConf(pretrain_epochs=-1)}, "agent.pretrain_epochs must be at least 0, got -1"),
        ({"agent": SacConf(pretrain_lr=0.0)}, "agent.pretrain_lr must be more than 0, got 0.0"),
    ],
)
def test_what_cannot_be_is_refused(parts: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(sound(**parts))
    assert expected in str(caught.value)


def test_pretraining_is_open_to_model_free_agents() -> None:
    config = compose(["agent=edac", "agent.pretrain_epochs=3"])
    validate(replace(config, source=NoSourceConf()))
    assert config.agent.pretrain_epochs == 3
