"""The source of a configuration: what draws synthetic rows, and from which model."""

from collections.abc import Callable
from dataclasses import replace

import torch

from mbrl.conf.schema import Config, CustomSourceConf, RamboConf, RolloutConf, keywords
from mbrl.conf.schema_joint import CodaConf
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import Agent, Dynamics, Source, Tracing, ValueOracle
from mbrl.datasets import OfflineDataset
from mbrl.dynamics.diffusion.cache import fit_diffusion_cached
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.policies import as_guide
from mbrl.dynamics.diffusion.source import Coda
from mbrl.run.adversarial import AdversarialRollouts
from mbrl.run.build.adversary import adversary_from_config
from mbrl.run.build.agent import MODEL_AWARE
from mbrl.run.build.penalty import penalty_from_config
from mbrl.run.build.starts import starts_for
from mbrl.run.build.targets import import_target
from mbrl.run.joint import JointSource, SideBySide
from mbrl.run.pjap import PJAP
from mbrl.run.sources import ModelRollouts

Make = Callable[
    [Config, OfflineDataset, Dynamics | None, torch.device, ValueOracle | None],
    Source,
]


def source_from_config(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    *,
    oracle: ValueOracle | None = None,
) -> Source:
    """The source of source.name, which draws from `dynamics` where it is of model rollouts (`needs_model`).

    oracle: records values at the edge. Raises ConfigError for an unknown name.
    """
    if config.source.name not in SOURCES:
        raise ConfigError(unknown_name("source.name", config.source.name, SOURCES))
    return SOURCES[config.source.name](config, dataset, dynamics, device, oracle)


def needs_model(config: Config) -> bool:
    """Whether the source draws from a model of the dynamics."""
    return config.source.name in WITH_MODEL


def flat_dataset(dataset: OfflineDataset) -> OfflineDataset:
    """What a model of the joint dynamics learns from: the agents' observations and actions side by side."""
    if dataset.layout is None:
        return dataset
    return replace(dataset, transitions=dataset.layout.flat_rows(dataset.transitions), layout=None)


def _rollouts(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    oracle: ValueOracle | None,
) -> Source:
    conf: RolloutConf = config.source
    starts = starts_for(dynamics, flat_dataset(dataset), device)
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
    return rollouts if dataset.layout is None else JointSource(rollouts, dataset.layout)


def _rambo(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    oracle: ValueOracle | None,
) -> Source:
    conf: RamboConf = config.source
    adversary = adversary_from_config(config, dataset, dynamics)
    rollouts = _rollouts(config, dataset, adversary.dynamics, device, oracle)
    return AdversarialRollouts(rollouts, adversary, every=conf.model_every // conf.refresh_every)


def _custom(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    oracle: ValueOracle | None,
) -> Source:
    conf: CustomSourceConf = config.source
    target = import_target(conf._target_)
    return target(dataset, dynamics=dynamics, seeds=tuple(config.seeds), device=device, **conf.kwargs)


def _pjap(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    oracle: ValueOracle | None,
) -> Source:
    entries = None if dataset.layout is None else dataset.layout.action_mask(device)
    shape = {"steepness": config.source.steepness, "floor": config.source.floor}
    return PJAP(dataset.transitions.to(device), entries=entries, **shape)


def _coda(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    oracle: ValueOracle | None,
) -> Coda:
    conf: CodaConf = config.source
    model = diffusion_from_config(config, dataset, device)
    options = keywords(conf, without=("segment", "sampling_steps", "diffusion", "horizon", *BUFFER))
    return Coda(model, steps=conf.sampling_steps, **options)


def _coda_rollout(
    config: Config,
    dataset: OfflineDataset,
    dynamics: Dynamics | None,
    device: torch.device,
    oracle: ValueOracle | None,
) -> SideBySide:
    parts = {"coda": _coda, "rollout": _rollouts}
    return SideBySide({name: make(config, dataset, dynamics, device, oracle) for name, make in parts.items()})


def diffusion_from_config(config: Config, dataset: OfflineDataset, device: torch.device) -> DiffusionModel:
    """The diffusion model of source.diffusion: taken from the cache, or fitted and cached."""
    conf: CodaConf = config.source
    shape = ("network", "width", "depth", "action_map", "seed")
    model, report = fit_diffusion_cached(
        conf.diffusion.cache,
        dataset,
        horizon=conf.segment,
        model={name: getattr(conf.diffusion, name) for name in shape},
        device=device,
        progress=config.train.progress,
        **keywords(conf.diffusion, without=(*shape, "cache")),
    )
    print(f"  {report.summary()}")
    return model


def check_guide(config: Config, agent: Agent) -> None:
    """Raise ConfigError, before a model is fitted, for an agent whose policy cannot guide its samples."""
    if isinstance(config.source, CodaConf) and config.source.weight:
        as_guide(agent, config.source.width)


BUFFER = ("starts", "refresh_every", "retain")
"""Options of a source that its rows' buffer takes."""
SOURCES: dict[str, Make] = {
    "rollout": _rollouts,
    "rambo": _rambo,
    "custom": _custom,
    "pjap": _pjap,
    "coda": _coda,
    "coda_rollout": _coda_rollout,
}
"""Every source by the name a configuration gives it."""
WITH_MODEL = ("rollout", "rambo", "coda_rollout", "custom")
"""Those that draw from a model of the dynamics."""
