"""Every other part of a configuration, each made by one function."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mbrl.conf.schema import Config, keywords
from mbrl.core.types import Agent, EnvSpec, Source
from mbrl.datasets import OfflineDataset, load, missing_reference, normalized_score
from mbrl.dynamics.mujoco_envs import side_by_side
from mbrl.run.build.bias import bias_from_config
from mbrl.run.build.games import game_from_name
from mbrl.run.envs import check_dims, version_warnings
from mbrl.run.evaluate import Evaluation, Evaluator
from mbrl.run.experience import MixedData, RealData
from mbrl.run.train import Schedule


def dataset_from_config(config: Config) -> OfflineDataset:
    """Load the dataset, check it against its environment, and print what was found."""
    conf = config.dataset
    env = EnvSpec(conf.env, conf.env_kwargs) if conf.env else None
    kind, _, name = conf.source.partition("/")
    dataset = MADE[kind](name, env) if kind in MADE else load(conf.source, env=env)
    if dataset.env is not None:
        check_dims(dataset.env, dataset.obs_dim, dataset.action_dim, dataset.layout)
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
        **({} if dataset.layout is None else {"agents": dataset.layout.as_dict()}),
    }


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
        **{name: getattr(config.source, name) for name in ("starts", "refresh_every", "retain")},
    )


def schedule_from_config(config: Config) -> Schedule:
    """The loop's intervals."""
    return Schedule(**keywords(config.train, without=("batch_size", "real_ratio", *LOOKS)))


def evaluation_metrics(found: Evaluation, dataset_id: str) -> dict[str, Tensor]:
    """Mean return and length [S], and the normalised score where the dataset has a reference."""
    returns = found.returns.mean(-1)
    metrics = {"eval/return": returns, "eval/length": found.lengths.double().mean(-1)}
    if not missing_reference(dataset_id):
        metrics["eval/normalized"] = normalized_score(dataset_id, returns)
    return metrics


def evaluation_from_config(
    config: Config, dataset: OfflineDataset, device: torch.device
) -> Callable[[Agent, int], dict[str, Tensor]] | None:
    """Evaluation in the dataset's environment, made once; None, with a note, where there is none.

    Raises ConfigError where train.bias_states asks for the overestimate, too, and the true dynamics are unknown.
    """
    bias = bias_from_config(config, dataset, device)
    if dataset.env is None:
        print("  note         no evaluation: set dataset.env=<id> to name the environment")
        return None
    train = config.train
    evaluator = Evaluator(
        dataset.env,
        seeds=config.seeds,
        episodes=train.eval_episodes,
        max_steps=train.eval_max_steps,
        together=side_by_side,
    )

    def look(agent: Agent, update: int) -> dict[str, Tensor]:
        metrics = evaluation_metrics(evaluator(agent, index=update), dataset.id)
        return metrics if bias is None else metrics | bias(agent, update)

    return look


MADE: dict[str, Callable[[str, EnvSpec | None], OfflineDataset]] = {"game": game_from_name}
"""Datasets that are made rather than read, by what their names begin with."""
LOOKS = ("eval_episodes", "eval_max_steps", "bias_states", "bias_horizon", "accelerate", "precision")
"""Options of evaluations and of arithmetic, which the schedule does not need."""
