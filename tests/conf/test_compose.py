"""Every option composes; what the published files say; presets, folders and one's own parts."""

import functools
import inspect
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from mbrl.conf import all_choices, compose, keywords
from mbrl.conf.schema import (
    BcConf,
    ComboConf,
    Config,
    CustomAgentConf,
    EnsembleConf,
    MobileConf,
    RolloutConf,
    SacConf,
)
from mbrl.conf.schema_joint import CodaConf
from mbrl.conf.store import slug
from mbrl.core.errors import ConfigError
from mbrl.dynamics.diffusion.sampler import Sampler
from mbrl.dynamics.diffusion.source import Coda

CONF = Path(__file__).resolve().parents[2] / "mbrl/conf"
CHOICES = all_choices()
# What an option asks the user for.
GIVEN = {
    "dataset=hdf5": ["dataset.source=/data/a.hdf5"],
    "dataset=npz": ["dataset.source=/data/a.npz", "dataset.env=Hopper-v5"],
    "dataset=minari": ["dataset.source=minari/mujoco/hopper/medium-v0"],
    "dynamics=custom": ["dynamics._target_=package.Model"],
    "source=custom": ["source._target_=package.Source"],
    "agent=custom": ["agent._target_=package.Agent"],
}


@functools.cache
def composed(*overrides: str) -> Config:
    """Composing takes a while, and many tests look at the same results."""
    return compose(overrides)


@pytest.mark.parametrize("option", [f"{group}={name}" for group, names in CHOICES.items() for name in names])
def test_every_option_composes(option: str) -> None:
    config = composed(option, *GIVEN.get(option, []))
    assert config.train.updates > 0
    assert "$" not in str(asdict(config))
    assert "???" not in str(asdict(config))


def test_the_files_are_the_choices() -> None:
    for group, names in CHOICES.items():
        files = {str(p.relative_to(CONF / group).with_suffix("")) for p in (CONF / group).rglob("*.yaml")}
        assert files == set(names)
    assert set(CHOICES) == {
        "agent",
        "dataset",
        "dynamics",
        "edge",
        "penalty",
        "preset",
        "source",
        "task",
        "train",
    }


ROLLED_OUT = ("mobile", "combo", "mopo", "mopo_original", "morel")
SOURCES = dict.fromkeys(ROLLED_OUT, ("rollout",)) | {"rambo": ("rambo", "rollout")}
"""Agents that do not run on both kinds of source as they are."""


@pytest.mark.parametrize(
    ("agent", "source"),
    [
        (agent, source)
        for agent in sorted(set(CHOICES["agent"]) - {"custom", "bc", "joint_bc"})
        for source in SOURCES.get(agent, ("none", "rollout"))
    ],
)
def test_debug_shrinks_every_agent_and_source(agent: str, source: str) -> None:
    config = compose(["preset=debug", f"agent={agent}", f"source={source}"])
    assert max(config.agent.hidden) <= 16
    assert getattr(config.agent, "num_critics", 0) <= 3
    assert config.agent.label == agent
    assert config.train.updates <= 4
    assert isinstance(config.dynamics, EnsembleConf)
    assert config.dynamics.max_epochs == 1
    assert config.out == f"runs/debug/sample-{agent}"
    if isinstance(config.source, RolloutConf):
        assert config.source.starts * config.source.horizon <= 100


@pytest.mark.parametrize("preset", sorted(set(CHOICES["preset"]) - {"none"}))
def test_a_preset_adjusts_only_options_that_exist(preset: str) -> None:
    for path in (CONF / "adjust" / preset).rglob("*.yaml"):
        assert path.stem in CHOICES[path.parent.name], path


def test_a_preset_leaves_the_choice_of_agent_open() -> None:
    config = compose(["preset=quickstart", "agent=bc"])
    assert isinstance(config.agent, BcConf)
    assert config.source.name == "none"
    assert config.out == "runs/quickstart"


def test_model_free_agents_choose_no_source_unless_told() -> None:
    for agent in ("edac", "sac_n", "bc"):
        config = composed(f"agent={agent}")
        assert (config.source.name, config.train.real_ratio) == ("none", 1.0)
    config = compose(["agent=edac", "source=rollout"])
    assert (config.source.name, config.train.real_ratio) == ("rollout", 0.05)


def test_ravl_is_edac_on_rollouts() -> None:
    ravl, edac = composed("agent=ravl"), composed("agent=edac")
    assert keywords(ravl.agent) == keywords(edac.agent)
    assert (ravl.source.name, edac.source.name) == ("rollout", "none")


@pytest.mark.parametrize(
    ("task", "critics", "eta"),
    [
        ("edac/hopper-medium-v2", 50, 1.0),
        ("edac/walker2d-medium-expert-v2", 10, 5.0),
        ("edac/halfcheetah-medium-replay-v2", 10, 1.0),
        ("sac_n/hopper-medium-v2", 500, 0.0),
        ("sac_n/hopper-medium-expert-v2", 200, 0.0),
        ("sac_n/walker2d-medium-v2", 20, 0.0),
        ("ravl/halfcheetah-medium-v2", 10, 1.0),
    ],
)
def test_published_settings(task: str, critics: int, eta: float) -> None:
    config, (agent, dataset) = composed(f"task={task}"), task.split("/")
    assert config.dataset.source == f"d4rl/{dataset}"
    assert config.agent == SacConf(label=agent, num_critics=critics, eta=eta)
    assert config.train.updates == 3_000_000
    assert config.source.name == ("rollout" if agent == "ravl" else "none")


MOBILE = {  # rollout length and beta, as OfflineRL-Kit lists them
    "halfcheetah-random": (5, 0.5),
    "hopper-random": (5, 5.0),
    "walker2d-random": (5, 2.0),
    "halfcheetah-medium": (5, 0.5),
    "hopper-medium": (5, 1.5),
    "walker2d-medium": (5, 0.5),
    "halfcheetah-medium-replay": (5, 0.1),
    "hopper-medium-replay": (5, 0.1),
    "walker2d-medium-replay": (1, 0.5),
    "halfcheetah-medium-expert": (5, 2.0),
    "hopper-medium-expert": (5, 1.5),
    "walker2d-medium-expert": (1, 1.5),
}
COMBO = {  # rollout length and weight, as OfflineRL-Kit lists them
    "halfcheetah-medium": (5, 0.5),
    "hopper-medium": (5, 5.0),
    "walker2d-medium": (1, 5.0),
    "halfcheetah-medium-replay": (5, 0.5),
    "hopper-medium-replay": (5, 0.5),
    "walker2d-medium-replay": (1, 0.5),
    "halfcheetah-medium-expert": (5, 5.0),
    "hopper-medium-expert": (5, 5.0),
    "walker2d-medium-expert": (1, 5.0),
}
RATES = {"actor_lr": 1e-4, "critic_lr": 3e-4, "alpha_lr": 1e-4, "backup_entropy": False}


@pytest.mark.parametrize("task", MOBILE)
def test_mobiles_published_settings(task: str) -> None:
    config, (horizon, beta) = composed(f"task=mobile/{task}-v2"), MOBILE[task]
    fixed = {"auto_alpha": False, "alpha": 0.2} if task == "hopper-medium" else {}
    assert config.dataset.source == f"d4rl/{task}-v2"
    assert config.agent == MobileConf(
        label="mobile",
        num_critics=2,
        eta=0.0,
        hidden=[256, 256],
        actor_lr_cosine=3_000_000,
        alpha_max=1.0,
        beta=beta,
        clamp_target=True,
        **RATES,
        **fixed,
    )
    assert config.source == RolloutConf(horizon=horizon)
    assert (config.train.updates, config.train.real_ratio) == (3_000_000, 0.05)


@pytest.mark.parametrize("task", COMBO)
def test_combos_published_settings(task: str) -> None:
    config, (horizon, weight) = composed(f"task=combo/{task}-v2"), COMBO[task]
    assert config.dataset.source == f"d4rl/{task}-v2"
    assert config.agent == ComboConf(
        label="combo", num_critics=2, eta=0.0, actor_lr_cosine=1_000_000, cql_weight=weight, **RATES
    )
    assert config.source == RolloutConf(horizon=horizon)
    assert (config.train.updates, config.train.real_ratio) == (1_000_000, 0.5)


def test_every_published_setting_is_in_a_table() -> None:
    tasks = {t for t in CHOICES["task"] if t.startswith(("mobile/", "combo/"))}
    assert tasks == {f"mobile/{t}-v2" for t in MOBILE} | {f"combo/{t}-v2" for t in COMBO}


def test_combo_without_rollouts_is_asked_for_in_full() -> None:
    config = compose(["agent=combo", "source=none", "train.real_ratio=1"])
    assert (config.source.name, config.agent.states) == ("none", "mix")


def test_published_files_name_their_source() -> None:
    for path in [*(CONF / "task").rglob("*-v[02].yaml"), *(CONF / "dataset/d4rl").glob("*.yaml")]:
        comment = " ".join(line for line in path.read_text().splitlines() if line.startswith("# "))
        assert re.search(r"github\.com/|arXiv \d{4}\.\d{5}", comment), path
    for name in set(CHOICES["agent"]) - {"bc", "joint_bc", "custom"}:
        assert re.search(r"arXiv \d{4}\.\d{5}|PMLR \d+", (CONF / f"agent/{name}.yaml").read_text())


def test_ones_own_parts_come_in_by_target_or_by_folder(tmp_path: Path) -> None:
    config = compose(
        ["agent=custom", "agent._target_=package.Agent", "agent.kwargs={width: 64, deep: [1, 2]}"]
    )
    assert isinstance(config.agent, CustomAgentConf)
    assert keywords(config.agent) == {"kwargs": {"width": 64, "deep": [1, 2]}}
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/mine.yaml").write_text(
        "defaults:\n  - /schema/agent@_here_: sac\n  - _self_\nlabel: mine\nnum_critics: 4\n"
    )
    config = compose(["agent=mine", "preset=debug"], config_dir=str(tmp_path))
    assert (config.agent.label, config.agent.num_critics) == ("mine", 4)


def test_environment_arguments_need_no_plus() -> None:
    config = compose(
        ["dataset.env=Ant-v4", "dataset.env_kwargs={a: true}", "dataset.env_kwargs.xml_file=a.xml"]
    )
    assert config.dataset.env_kwargs == {"a": True, "xml_file": "a.xml"}


def test_flags_mean_what_they_say() -> None:
    config = compose(["agent.auto_alpha=False", "resume=true", "train.progress=false"])
    assert (config.agent.auto_alpha, config.resume, config.train.progress) == (False, True, False)


def test_keywords_are_constructor_arguments() -> None:
    assert keywords(BcConf(hidden=[8], lr=0.1)) == {"hidden": (8,), "lr": 0.1}
    assert "horizon" not in keywords(RolloutConf(), without=("horizon",))


def test_configurations_do_not_share_their_lists() -> None:
    SacConf().hidden.append(1)
    assert SacConf().hidden == [256, 256, 256]


def test_folder_names() -> None:
    assert slug("/data/hopper-medium.hdf5") == "hopper-medium"
    assert slug("minari/mujoco/hopper/medium-v0") == "minari-mujoco-hopper-medium-v0"


def test_config_dir_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config-dir .* is not a folder"):
        compose([], config_dir=str(tmp_path / "none"))


def test_defaults_of_a_diffusion_source_are_those_of_the_component() -> None:
    signature = inspect.signature(Coda).parameters
    conf = CodaConf()
    for name in ("weight", "guide", "schedule", "normalise", "width", "once", "churn"):
        assert getattr(conf, name) == signature[name].default
    assert (conf.sampling_steps, conf.order) == (Sampler().steps, Sampler().order)
