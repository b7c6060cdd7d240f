"""Ranges, and values that must fit each other."""

from dataclasses import fields, replace
from typing import Any

import pytest

from mbrl.agents.combo import STATES
from mbrl.agents.multi import views
from mbrl.agents.multi.omar import SAMPLERS
from mbrl.conf import compose, validate
from mbrl.conf.rules import RULES
from mbrl.conf.schema import (
    BcConf,
    ComboConf,
    Config,
    CustomAgentConf,
    CustomSourceConf,
    DatasetConf,
    EnsembleConf,
    MobileConf,
    NoSourceConf,
    RolloutConf,
    SacConf,
    TrainConf,
)
from mbrl.conf.schema_joint import (
    CodaConf,
    DiffusionConf,
    JointBcConf,
    MasacConf,
    MatD3BcConf,
    OmarConf,
)
from mbrl.conf.validate import (
    ACCELERATE,
    ACTION_MAPS,
    ACTIVATIONS,
    COMBO_STATES,
    CRITICS,
    GUIDES,
    NETWORKS,
    OMAR_SAMPLERS,
    OTHERS,
    PRECISION,
    SCHEDULES,
    WITH_MODEL,
)
from mbrl.core import nets
from mbrl.core.accelerate import MODES
from mbrl.core.errors import ConfigError
from mbrl.core.precision import PRECISIONS
from mbrl.dynamics.diffusion import actions, guidance
from mbrl.dynamics.diffusion.networks import DENOISERS
from mbrl.run.build import source

JOINT = {"train": TrainConf(real_ratio=0.5)}
MODEL_FREE = {"source": NoSourceConf(), "train": TrainConf(real_ratio=1.0)}


def sound(**parts: Any) -> Config:
    given = {
        "dataset": DatasetConf("sample"),
        "dynamics": EnsembleConf(),
        "source": RolloutConf(),
        "agent": SacConf(label="sac"),
    }
    return Config(**{**given, **parts})


def test_the_published_defaults_are_sound() -> None:
    validate(sound())
    validate(compose())


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"seeds": []}, "seeds must be a list of different numbers"),
        ({"seeds": [1, 1]}, "seeds must be a list of different numbers"),
        ({"seeds": [-1]}, "seeds must be a list of different numbers"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ({"dataset": DatasetConf("a", env_kwargs={"a": 1})}, "dataset.env_kwargs needs dataset.env"),
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"dynamics": EnsembleConf(elites=8)}, "dynamics.elites must be at most dynamics.members=7, got 8"),
        ({"dynamics": EnsembleConf(elites=0)}, "dynamics.elites must be at least 1, got 0"),
        ({"dynamics": EnsembleConf(hidden=[64])}, "dynamics.weight_decay needs one entry a layer, 2 for 1"),
        ({"dynamics": EnsembleConf(hidden=[])}, "dynamics.hidden must be a list"),
        ({"dynamics": EnsembleConf(activation="swich")}, "unknown dynamics.activation 'swich'"),
        ({"dynamics": EnsembleConf(termination="lerned")}, "did you mean 'learned'?"),
        (
            {"dynamics": EnsembleConf(holdout_fraction=1.0)},
            "dynamics.holdout_fraction must be in (0, 1), got 1.0",
        ),
        ({"dynamics": EnsembleConf(logvar_init=[1.0, 0.0])}, "two numbers, the lower first"),
        ({"dynamics": EnsembleConf(max_epochs=0)}, "dynamics.max_epochs must be at least 1"),
        ({"dynamics": EnsembleConf(lr=float("nan"))}, "dynamics.lr must be more than 0, got nan"),
        ({"source": RolloutConf(horizon=0)}, "source.horizon must be at least 1, got 0"),
        ({"source": NoSourceConf()}, "source=none does not make"),
        ({"train": TrainConf(real_ratio=1.0)}, "choose source=none instead"),
        ({"train": TrainConf(real_ratio=-0.1)}, "train.real_ratio must be in [0, 1], got -0.1"),
        ({"train": TrainConf(updates=0)}, "train.updates must be at least 1, got 0"),
        ({"train": TrainConf(q_limit=float("inf"))}, "train.q_limit must be more than 0, got inf"),
        ({"agent": SacConf(num_critics=1)}, "agent.num_critics of 2 or more"),
        ({"agent": SacConf(tau=0.0)}, "agent.tau must be in (0, 1], got 0.0"),
        (
            {"agent": SacConf(hidden=[8, 0])},
            "agent.hidden must be a list with every entry at least 1, got [8, 0]",
        ),
        ({"agent": BcConf()}, "use it with source=none"),
        ({"agent": MobileConf(beta=-1.0)}, "agent.beta must be at least 0, got -1.0"),
        ({"agent": MobileConf(tau=0.0)}, "agent.tau must be in (0, 1], got 0.0"),
        ({**MODEL_FREE, "agent": MobileConf()}, "agent=mobile penalises synthetic rows"),
        ({"agent": ComboConf(cql_weight=-1.0)}, "agent.cql_weight must be at least 0"),
        ({"agent": ComboConf(states="real")}, "unknown agent.states 'real'"),
        ({**MODEL_FREE, "agent": ComboConf(states="model")}, "agent.states=model needs synthetic rows"),
        (
            {"agent": ComboConf(), "train": TrainConf(batch_size=16)},
            "agent=combo raises values at real rows, and train.batch_size=16 times train.real_ratio=0.05 is less",
        ),
        (
            {"agent": CustomAgentConf(_target_="Agent")},
            "agent._target_ must be package.module.Name, got 'Agent'",
        ),
        ({**JOINT, "agent": MatD3BcConf(critic="centrl")}, "unknown agent.critic 'centrl'"),
        ({**JOINT, "agent": OmarConf(coefficient=1.5)}, "agent.coefficient must be in [0, 1], got 1.5"),
        ({**JOINT, "agent": MasacConf(num_critics=1)}, "agent.num_critics of 2 or more"),
        ({**JOINT, "source": CodaConf(guide="none")}, "unknown source.guide 'none'"),
        ({**JOINT, "source": CodaConf(), "agent": MobileConf()}, "asks a model of the dynamics"),
        ({**JOINT, "source": CodaConf(segment=0)}, "source.segment must be at least 1"),
        (
            {**JOINT, "source": CodaConf(diffusion=DiffusionConf(network="mpl"))},
            "unknown source.diffusion.network 'mpl'; did you mean 'mlp'?",
        ),
        ({**JOINT, "agent": JointBcConf(), "source": CodaConf()}, "use it with source=none"),
        ({"source": CustomSourceConf(_target_="a.B", starts=0)}, "source.starts must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(parts: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(sound(**parts))
    assert expected in str(caught.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"agent\.tau must be .*; train\.updates must be"):
        validate(sound(agent=SacConf(tau=2.0), train=TrainConf(updates=-1)))


@pytest.mark.parametrize(
    "parts",
    [
        {"source": NoSourceConf(), "train": TrainConf(real_ratio=1.0), "agent": BcConf()},
        {"train": TrainConf(q_limit=None, eval_max_steps=None)},
        {"dynamics": EnsembleConf(termination="package.module.rule", max_epochs=3)},
        {"agent": SacConf(num_critics=1, eta=0.0)},
        {**MODEL_FREE, "agent": ComboConf()},
        {"agent": CustomAgentConf(_target_="package.Agent")},
        {"device": "cuda:1"},
        {"seeds": [3, 0]},
    ],
)
def test_unusual_but_sound(parts: dict[str, Any]) -> None:
    validate(sound(**parts))


def test_every_number_has_a_range() -> None:
    free = {"target_entropy", "per_seed", "auto_alpha", "progress"}
    for kind, rules in RULES.items():
        types = {f.name: getattr(f.type, "__name__", "") + str(f.type) for f in fields(kind)}
        types = {name: text for name, text in types.items() if "schema" not in text}
        numeric = {name for name, text in types.items() if any(t in text for t in ("int", "float"))}
        assert numeric - free == set(rules)


def test_names_of_guides_networks_and_critics_are_those_of_the_code() -> None:
    assert set(GUIDES) == set(guidance.GUIDES)
    assert WITH_MODEL == source.WITH_MODEL
    assert set(SCHEDULES) == set(guidance.SCHEDULES)
    assert set(NETWORKS) == set(DENOISERS)
    assert set(ACTION_MAPS) == set(actions.ACTION_MAPS)
    assert set(CRITICS) == set(views.VIEWS)
    assert set(OTHERS) == set(views.OTHERS)
    assert set(OMAR_SAMPLERS) == set(SAMPLERS)


def test_activations_are_those_of_the_networks() -> None:
    assert set(ACTIVATIONS) == set(nets.ACTIVATIONS)


def test_the_states_are_those_of_combo() -> None:
    assert set(COMBO_STATES) == set(STATES)
    assert set(ACCELERATE) == {"auto", *MODES}
    assert set(PRECISION) == set(PRECISIONS)


def test_a_rule_is_checked_on_the_field_it_names() -> None:
    for kind, rules in RULES.items():
        for name in rules:
            assert getattr(replace(kind(), **{name: getattr(kind(), name)}), name) == getattr(kind(), name)
