"""A wrong command line fails before any work, in one line that names what would be right."""

from pathlib import Path

import pytest
from omegaconf import DictConfig

from mbrl.conf import compose
from mbrl.conf.compose import compose_raw, parse
from mbrl.conf.explain import misfit, strict_booleans, unknown_key, wrong_type
from mbrl.core.errors import ConfigError


@pytest.fixture(scope="module")
def base() -> DictConfig:
    """The default configuration, composed once for the tests that lay a value over it."""
    return compose_raw([])


def message(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("agnet.eta=1", "'agent.eta'"),
        ("agent=rval", "'ravl'"),
        ("task=edac/hopper-medum-v2", "'edac/hopper-medium-v2'"),
        ("preset=null", "'none'"),
        ("+agent.lab=x", "'agent.label'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(override: str, nearest: str) -> None:
    text = message(override)
    assert f"did you mean {nearest}" in text
    assert "known: " in text


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("agent.num_critic=1", "unknown option 'agent.num_critic'; did you mean 'agent.num_critics'"),
        ("eta=3", "unknown option 'eta'; did you mean 'agent.eta'?"),
        ("tarin.updates=3", "unknown option 'tarin.updates'; did you mean 'train.updates'?"),
        ("train={updatse: 3}", "unknown option 'train.updatse'; did you mean 'train.updates'"),
        ("preste=debug", "unknown option 'preste'; did you mean 'preset'?"),
        ("dataset.env_kwarg={a: 1}", "unknown option 'dataset.env_kwarg'; did you mean 'dataset.env_kwargs'"),
        ("agent.eta.x=1", "unknown option 'agent.eta.x'"),
        ("agent.eta=abc", "agent.eta: expected float, got 'abc'"),
        ("agent.eta=null", "agent.eta: expected float, got None"),
        ("agent={tau: x}", "agent.tau: expected float, got 'x'"),
        ("train.updates=1e6", "train.updates: expected int, got 1000000.0; write 1000000"),
        ("train.updates=2.5", "train.updates: expected int, got 2.5"),
        ("train.updates=true", "train.updates: expected int, got True"),
        ("train.eval_max_steps=x", "train.eval_max_steps: expected int | None, got 'x'"),
        ("agent.hidden=64", "agent.hidden: expected list[int], got 64"),
        ("agent.hidden=[a]", "agent.hidden: expected list[int], got ['a']"),
        ("resume=maybe", "resume: expected bool, got 'maybe'"),
    ],
)
def test_a_value_that_does_not_fit(base: DictConfig, override: str, expected: str) -> None:
    assert str(misfit(base, parse([override]), ["preset"])).startswith(expected)


@pytest.mark.parametrize(
    "override", ["agent.eta=1", "agent={eta: 0.5}", "train.eval_max_steps=null", "seeds=[1,2]"]
)
def test_a_value_that_fits(base: DictConfig, override: str) -> None:
    assert misfit(base, parse([override])) is None


@pytest.mark.parametrize("override", ["agent.auto_alpha=2", "agent.auto_alpha=yes", "agent={auto_alpha: 0}"])
def test_a_flag_is_true_or_false(base: DictConfig, override: str) -> None:
    with pytest.raises(ConfigError, match="agent.auto_alpha: expected true or false, got"):
        strict_booleans(base, parse([override]))


def test_a_wrong_type_stops_the_composition() -> None:
    assert message("agent=edac", "agent.eta=abc") == "agent.eta: expected float, got 'abc'"
    assert message("agent.auto_alpha=2") == "agent.auto_alpha: expected true or false, got 2"


def test_an_option_of_another_agent_is_answered_with_those_of_this_one() -> None:
    assert message("agent=bc", "agent.num_critics=3") == (
        "unknown option 'agent.num_critics'; known: agent.hidden, agent.label, agent.lr, agent.name"
    )


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["dataset=hdf5"], "dataset.source is not given: add dataset.source=..."),
        (["agent=custom"], "agent._target_ is not given"),
        (["seeds=0,1"], "seeds=0,1 lists several values: add -m"),
        (["~agent.eta"], "no part can be removed"),
        (["agent"], "cannot read 'agent': write key=value"),
        (["dataset.source=a(b"], "cannot read 'dataset.source=a(b'"),
        (["schema=sac"], "unknown option 'schema'"),
        (["out=${nowhere}"], "out: Interpolation key 'nowhere' not found"),
    ],
)
def test_other_mistakes(overrides: list[str], expected: str) -> None:
    assert expected in message(*overrides)


def test_a_broken_file_of_the_users_is_named(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/mine.yaml").write_text(
        "defaults:\n  - /schema/agent@_here_: sac\n  - _self_\netaa: 1\n"
    )
    with pytest.raises(ConfigError, match="agent/mine.*etaa"):
        compose(["agent=mine"], config_dir=str(tmp_path))


def test_nothing_near_gives_no_suggestion() -> None:
    assert unknown_key("zzz", ["agent.eta", "train.updates"]) == "unknown option 'zzz'; known: agent, train"


def test_a_number_that_is_whole_is_offered_as_such() -> None:
    assert wrong_type("a", 3.0, "int | None") == "a: expected int | None, got 3.0; write 3"
    assert wrong_type("a", 3.5, "int") == "a: expected int, got 3.5"
