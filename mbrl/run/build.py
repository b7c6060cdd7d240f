"""Composition root: the one place that knows every part, and turns a configuration into a run."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbrl.agents import AGENTS
from mbrl.conf import load_config, save_config
from mbrl.conf.resume import check_resume
from mbrl.conf.schema import Config, CustomDynamicsConf, CustomSourceConf, EnsembleConf, keywords
from mbrl.core.checkpoint import load_tree
from mbrl.core.device import pick_device
from mbrl.core.errors import ConfigError, MismatchError, unknown_name
from mbrl.core.types import Agent, Dynamics, EnvSpec, Source, Termination
from mbrl.datasets import OfflineDataset, load, missing_reference, normalized_score
from mbrl.diagnose.plots import draw_run
from mbrl.dynamics import (
    Ensemble,
    LearnedTermination,
    fit_cached,
    fit_termination,
    load_model,
    never,
    termination_for,
)
from mbrl.run.envs import check_dims, version_warnings
from mbrl.run.evaluate import Evaluation, Evaluator, evaluate
from mbrl.run.experience import MixedData, RealData
from mbrl.run.folder import prepare
from mbrl.run.result import table
from mbrl.run.rollout import no_penalty
from mbrl.run.sources import ModelRollouts
from mbrl.run.train import Schedule, Trainer


def import_target(path: str) -> Any:
    """The object "package.module.name". Raises ConfigError if it cannot be imported."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"_target_ {path!r} cannot be imported ({error}); write package.module.Name"
        ) from error


def dataset_from_config(config: Config) -> OfflineDataset:
    """Load the dataset, check it against its environment, and print what was found."""
    conf = config.dataset
    env = EnvSpec(conf.env, conf.env_kwargs) if conf.env else None
    dataset = load(conf.source, env=env)
    if dataset.env is not None:
        check_dims(dataset.env, dataset.obs_dim, dataset.action_dim)
        for warning in version_warnings(dataset.env):
            print(f"  warning      {warning}")
    return dataset


def identity(dataset: OfflineDataset) -> dict[str, Any]:
    """What result.json and checkpoints say of the dataset: enough to evaluate a run without it."""
    env = dataset.env
    return {
        "id": dataset.id,
        "sha256": dataset.sha256,
        "transitions": len(dataset),
        "return_mean": dataset.stats.return_mean,
        "obs_dim": dataset.obs_dim,
        "action_dim": dataset.action_dim,
        "env": None
        if env is None
        else {"id": env.id, "kwargs": dict(env.kwargs), "versions": dict(env.versions)},
    }


def agent_from_config(config: Config, obs_dim: int, action_dim: int, device: torch.device) -> Agent:
    """The learner of agent.name, or of agent._target_ for one's own class."""
    conf, common = config.agent, {"seeds": tuple(config.seeds), "device": device}
    if conf.name == "custom":
        return import_target(conf._target_)(obs_dim, action_dim, **common, **conf.kwargs)
    if conf.name not in AGENTS:
        raise ConfigError(unknown_name("agent.name", conf.name, AGENTS))
    return AGENTS[conf.name](obs_dim, action_dim, **common, **keywords(conf))


def dynamics_from_config(config: Config, dataset: OfflineDataset, device: torch.device) -> Dynamics:
    """The model of dynamics.name: taken from dynamics.path, or from the cache, or fitted and cached."""
    conf = config.dynamics
    if conf.name not in DYNAMICS:
        raise ConfigError(unknown_name("dynamics.name", conf.name, DYNAMICS))
    return DYNAMICS[conf.name](config, dataset, device)


def _custom_dynamics(config: Config, dataset: OfflineDataset, device: torch.device) -> Dynamics:
    conf: CustomDynamicsConf = config.dynamics
    return import_target(conf._target_)(dataset, seeds=tuple(config.seeds), device=device, **conf.kwargs)


FIT_OPTIONS = (
    "lr",
    "batch_size",
    "holdout_fraction",
    "holdout_max",
    "logvar_coef",
    "improvement",
    "patience",
    "max_epochs",
)
ELSEWHERE = ("termination", "per_seed", "cache", "path")


def _ensemble(config: Config, dataset: OfflineDataset, device: torch.device) -> Ensemble:
    conf: EnsembleConf = config.dynamics
    seeds = tuple(config.seeds) if conf.per_seed else (0,)
    termination = _termination(conf.termination, dataset, seeds, device, config.train.progress)
    if conf.path:
        dims = {"obs_dim": dataset.obs_dim, "action_dim": dataset.action_dim}
        check = {"env": dataset.env, "dataset_sha256": dataset.sha256, **dims}
        return load_model(conf.path, termination=termination, device=device, **check)
    sizes = keywords(conf, without=(*FIT_OPTIONS, *ELSEWHERE))
    options = {name: getattr(conf, name) for name in FIT_OPTIONS}

    def make() -> Ensemble:
        dims = dataset.obs_dim, dataset.action_dim
        return Ensemble(*dims, seeds=seeds, termination=termination, device=device, **sizes)

    model, report = fit_cached(
        conf.cache,
        make,
        dataset.with_successor(),
        dataset_id=dataset.id,
        dataset_sha256=dataset.sha256,
        env=dataset.env,
        progress=config.train.progress,
        **options,
    )
    print(report.summary())
    return model


def _termination(
    name: str, dataset: OfflineDataset, seeds: Sequence[int], device: torch.device, progress: bool
) -> Termination:
    """The rule called dynamics.termination: the environment's, none, fitted to the data, or the user's own."""
    if name == "none":
        return never
    if name == "learned":
        head = LearnedTermination(dataset.obs_dim, dataset.action_dim, seeds=seeds, device=device)
        print(fit_termination(head, dataset.with_successor(), progress=progress).summary())
        return head
    if name != "auto":
        return import_target(name)
    if dataset.env is None:
        raise ConfigError(
            "dynamics.termination=auto needs to know the environment: set dataset.env=<id>, or choose "
            "dynamics.termination=learned or none"
        )
    return termination_for(dataset.env)


def source_from_config(config: Config, dataset: OfflineDataset, device: torch.device) -> Source | None:
    """The source of source.name; None for model-free learning."""
    conf = config.source
    if conf.name == "none":
        return None
    dynamics = dynamics_from_config(config, dataset, device)
    if isinstance(conf, CustomSourceConf):
        target = import_target(conf._target_)
        return target(dataset, dynamics=dynamics, seeds=tuple(config.seeds), device=device, **conf.kwargs)
    if config.penalty.name not in PENALTIES:
        raise ConfigError(unknown_name("penalty.name", config.penalty.name, PENALTIES))
    penalty = PENALTIES[config.penalty.name](config.penalty.coefficient)
    starts = dataset.transitions.to(device)
    return ModelRollouts(dynamics, starts, horizon=conf.horizon, penalty=penalty)


def experience_from_config(
    config: Config, dataset: OfflineDataset, source: Source | None, device: torch.device
) -> RealData | MixedData:
    """Batches of real rows, or of real and synthetic rows."""
    data, train = dataset.transitions.to(device), config.train
    if source is None:
        return RealData(data, batch_size=train.batch_size)
    return MixedData(
        data,
        source,
        batch_size=train.batch_size,
        real_ratio=train.real_ratio,
        **keywords(config.source, without=("horizon", "kwargs")),
    )


def evaluation_metrics(found: Evaluation, dataset_id: str) -> dict[str, Tensor]:
    """Mean return and length [S], and the normalised score where the dataset has a reference."""
    returns = found.returns.mean(-1)
    metrics = {"eval/return": returns, "eval/length": found.lengths.double().mean(-1)}
    if not missing_reference(dataset_id):
        metrics["eval/normalized"] = normalized_score(dataset_id, returns)
    return metrics


def train_from_config(config: Config) -> Path:
    """The main job: data, model, agent, loop, result, picture. Returns the run folder."""
    device = pick_device(config.device)
    folder = prepare(config.out, resume=config.resume, overwrite=config.overwrite)
    if config.resume and (folder / "config.yaml").is_file():
        check_resume(config, load_config(folder / "config.yaml"))
    dataset = dataset_from_config(config)
    save_config(folder / "config.yaml", config)
    source = source_from_config(config, dataset, device)
    agent = agent_from_config(config, dataset.obs_dim, dataset.action_dim, device)
    trainer = Trainer(
        folder,
        agent,
        experience_from_config(config, dataset, source, device),
        schedule_from_config(config),
        seeds=config.seeds,
        dataset=identity(dataset),
        evaluate=evaluation_from_config(config, dataset),
        device=device,
        resume=config.resume,
    )
    result = trainer.run()
    print(table(result, dataset.stats.return_mean))
    print(f"{result['status']}: {folder}/result.json, picture {draw_run(folder)}")
    return folder


def schedule_from_config(config: Config) -> Schedule:
    """The loop's intervals."""
    return Schedule(
        **keywords(config.train, without=("batch_size", "real_ratio", "eval_episodes", "eval_max_steps"))
    )


def evaluation_from_config(
    config: Config, dataset: OfflineDataset
) -> Callable[[Agent, int], dict[str, Tensor]] | None:
    """Evaluation in the dataset's environment, made once; None, with a note, where there is none."""
    if dataset.env is None:
        print("  note         no evaluation: set dataset.env=<id> to name the environment")
        return None
    train = config.train
    evaluator = Evaluator(
        dataset.env, seeds=config.seeds, episodes=train.eval_episodes, max_steps=train.eval_max_steps
    )
    return lambda agent, update: evaluation_metrics(evaluator(agent, index=update), dataset.id)


def evaluate_run(
    folder: Path | str, *, episodes: int = 10, seeds: Sequence[int] | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Evaluate a run's checkpoint from its folder alone: the dataset need not be there.

    seeds: which of the run's seeds; all by default. Start states are fresh: none of them was seen by an
    evaluation during training.
    """
    folder = Path(folder)
    config, (tree, meta) = load_config(folder / "config.yaml"), load_tree(folder / "checkpoint")
    here, dataset = pick_device(device), meta["dataset"]
    if dataset["env"] is None:
        raise ConfigError(f"{folder}: its dataset names no environment to evaluate in; set dataset.env=<id>")
    chosen = list(config.seeds) if seeds is None else list(seeds)
    if missing := set(chosen) - set(meta["seeds"]):
        raise MismatchError(f"{folder}/checkpoint has seeds {meta['seeds']}, not {sorted(missing)}")
    agent = agent_from_config(config, dataset["obs_dim"], dataset["action_dim"], here)
    agent.load_state_dict(tree["agent"])
    env, cap = EnvSpec(**dataset["env"]), config.train.eval_max_steps
    found = evaluate(agent, env, seeds=meta["seeds"], episodes=episodes, max_steps=cap, index=-1)
    metrics = evaluation_metrics(found, dataset["id"])
    rows = {seed: i for i, seed in enumerate(meta["seeds"])}
    return {
        "run": str(folder),
        "update": meta["update"],
        "episodes": episodes,
        "seeds": chosen,
        **{name.removeprefix("eval/"): [v[rows[s]].item() for s in chosen] for name, v in metrics.items()},
        "std": [found.returns[rows[s]].std(correction=0).item() for s in chosen],
    }


DYNAMICS = {"ensemble": _ensemble, "custom": _custom_dynamics}
PENALTIES: dict[str, Callable[[float], Any]] = {"none": lambda coefficient: no_penalty}
