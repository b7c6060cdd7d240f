"""The source of a configuration: what draws synthetic rows, and from which model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from mbrl.conf.schema import Config, CustomSourceConf, RamboConf, RolloutConf, keywords
from mbrl.conf.schema_joint import CodaConf, PjapConf
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


@dataclass(frozen=True)
class Made:
    """What is there when a source is made."""

    config: Config
    dataset: OfflineDataset
    dynamics: Dynamics | None
    device: torch.device
    oracle: ValueOracle | None = None


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
    return SOURCES[config.source.name](Made(config, dataset, dynamics, device, oracle))


def needs_model(config: Config) -> bool:
    """Whether the source draws from a model of the dynamics."""
    return config.source.name in WITH_MODEL


def flat_dataset(dataset: OfflineDataset) -> OfflineDataset:
    """What a model of the joint dynamics learns from: the agents' observations and actions side by side."""
    if dataset.layout is None:
        return dataset
    return replace(dataset, transitions=dataset.layout.flat_rows(dataset.transitions), layout=None)


def _rollouts(made: Made) -> Source:
    config, dynamics, layout = made.config, made.dynamics, made.dataset.layout
    conf: RolloutConf = config.source
    starts = starts_for(dynamics, flat_dataset(made.dataset), made.device)
    rollouts = ModelRollouts(
        dynamics,
        starts,
        horizon=conf.horizon,
        penalty=penalty_from_config(config, starts, dynamics),
        drop_last=config.edge.name == "drop",
        keep_state=isinstance(dynamics, Tracing)
        and (config.edge.name == "oracle" or config.agent.name in MODEL_AWARE),
        oracle=made.oracle,
    )
    return rollouts if layout is None else JointSource(rollouts, layout)


def _rambo(made: Made) -> Source:
    conf: RamboConf = made.config.source
    adversary = adversary_from_config(made.config, made.dataset, made.dynamics)
    rollouts = _rollouts(replace(made, dynamics=adversary.dynamics))
    return AdversarialRollouts(rollouts, adversary, every=conf.model_every // conf.refresh_every)


def _custom(made: Made) -> Source:
    conf: CustomSourceConf = made.config.source
    parts = {"dynamics": made.dynamics, "seeds": tuple(made.config.seeds), "device": made.device}
    return import_target(conf._target_)(made.dataset, **parts, **conf.kwargs)


def _pjap(made: Made) -> Source:
    conf: PjapConf = made.config.source
    data, layout = made.dataset.transitions.to(made.device), made.dataset.layout
    entries = None if layout is None else layout.action_mask(made.device)
    return PJAP(data, entries=entries, steepness=conf.steepness, floor=conf.floor)


def _coda(made: Made) -> Coda:
    conf: CodaConf = made.config.source
    model = diffusion_from_config(made.config, made.dataset, made.device)
    options = keywords(conf, without=("segment", "sampling_steps", "diffusion", "horizon", *BUFFER))
    mode = made.config.train.accelerate
    # There is nothing in a draw to compile that is worth its compilation.
    options["mode"] = "eager" if mode == "compile" else mode
    return Coda(model, steps=conf.sampling_steps, **options)


def _coda_rollout(made: Made) -> SideBySide:
    return SideBySide({"coda": _coda(made), "rollout": _rollouts(made)})


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
SOURCES: dict[str, Callable[[Made], Source]] = {
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
