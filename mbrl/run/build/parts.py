"""Every other part of a configuration, each made by one function."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mbrl.agents import AGENTS
from mbrl.conf.schema import Config, CustomSourceConf, RamboConf, SacConf, keywords
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import Agent, Dynamics, EdgeTreatment, EnvSpec, Source, Tracing, ValueOracle
from mbrl.datasets import OfflineDataset, load, missing_reference, normalized_score
from mbrl.dynamics.mujoco_envs import side_by_side
from mbrl.run.adversarial import AdversarialRollouts
from mbrl.run.build.adversary import ADVERSARY, adversary_from_config
from mbrl.run.build.bias import bias_from_config
from mbrl.run.build.penalty import penalty_from_config
from mbrl.run.build.pretrain import PRETRAIN
from mbrl.run.build.starts import starts_for
from mbrl.run.build.targets import import_target
from mbrl.run.envs import check_dims, version_warnings
from mbrl.run.evaluate import Evaluation, Evaluator
from mbrl.run.experience import MixedData, RealData
from mbrl.run.sources import ModelRollouts
from mbrl.run.train import Schedule


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


def agent_from_config(
    config: Config,
    obs_dim: int,
    action_dim: int,
    device: torch.device,
    *,
    dynamics: Dynamics | None = None,
    edge: EdgeTreatment | None = None,
) -> Agent:
    """The learner of agent.name, or of agent._target_ for one's own class.

    dynamics goes to agents whose targets read the model (MODEL_AWARE); neither it nor edge is needed to act.
    Raises ConfigError for an edge treatment of an agent that has no targets.
    """
    conf, common = config.agent, {"seeds": tuple(config.seeds), "device": device}
    if conf.name in MODEL_AWARE:
        common["model"] = dynamics
    if edge is not None:
        if not isinstance(conf, SacConf):
            raise ConfigError(
                f"edge={config.edge.name} changes critics' targets, which agent={conf.name} has not"
            )
        common["edge"] = edge
    if conf.name == "custom":
        return import_target(conf._target_)(obs_dim, action_dim, **common, **conf.kwargs)
    if conf.name not in AGENTS:
        raise ConfigError(unknown_name("agent.name", conf.name, AGENTS))
    options = keywords(conf, without=PRETRAIN)
    entropies = options.get("target_entropy")
    if isinstance(entropies, tuple):  # of a stack's members, some of which may leave it to SAC
        options["target_entropy"] = tuple(-float(action_dim) if e is None else e for e in entropies)
    return AGENTS[conf.name](obs_dim, action_dim, **common, **options)


def source_from_config(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics,
    device: torch.device,
    *,
    oracle: ValueOracle | None = None,
) -> Source:
    """The source of source.name, which draws from `dynamics`; oracle: records values at the edge."""
    conf = config.source
    if isinstance(conf, CustomSourceConf):
        target = import_target(conf._target_)
        return target(dataset, dynamics=dynamics, seeds=tuple(config.seeds), device=device, **conf.kwargs)
    starts = starts_for(dynamics, dataset, device)
    adversary = adversary_from_config(config, dataset, dynamics) if isinstance(conf, RamboConf) else None
    if adversary is not None:
        dynamics = adversary.dynamics
    rollouts = ModelRollouts(
        dynamics,
        starts,
        horizon=conf.horizon,
        penalty=penalty_from_config(config, starts, dynamics),
        drop_last=config.edge.name == "drop",
        keep_state=isinstance(dynamics, Tracing)
        and (config.edge.name == "oracle" or config.agent.name in MODEL_AWARE),
        oracle=oracle,
    )
    if adversary is None:
        return rollouts
    return AdversarialRollouts(rollouts, adversary, every=conf.model_every // conf.refresh_every)


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
        **keywords(config.source, without=("horizon", "kwargs", *ADVERSARY)),
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


LOOKS = ("eval_episodes", "eval_max_steps", "bias_states", "bias_horizon", "accelerate", "precision")
"""Options of evaluations and of arithmetic, which the schedule does not need."""

MODEL_AWARE = frozenset({"mobile"})
"""Agents that are given the dynamics as `model`."""
