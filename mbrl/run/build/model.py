"""The dynamics of a configuration: simulated, loaded, found in the cache, or fitted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mbrl.conf.schema import (
    Config,
    CustomDynamicsConf,
    EnsembleConf,
    InterpolatedConf,
    TrueDynamicsConf,
    keywords,
)
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.types import Dynamics, Termination
from mbrl.datasets import OfflineDataset
from mbrl.dynamics import (
    Ensemble,
    Interpolated,
    LearnedTermination,
    TrueDynamics,
    fit_cached,
    fit_termination,
    load_model,
    never,
    termination_for,
)
from mbrl.dynamics.cache import cache_key
from mbrl.dynamics.fit import OnEpoch
from mbrl.run.build.targets import import_target

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


def dynamics_from_config(
    config: Config, dataset: OfflineDataset, device: torch.device, *, on_epoch: OnEpoch | None = None
) -> Dynamics:
    """The model of dynamics.name: taken from dynamics.path, or from the cache, or fitted and cached.

    on_epoch: told of every epoch of a fit (see mbrl.dynamics.fit).
    """
    conf = config.dynamics
    if conf.name not in DYNAMICS:
        raise ConfigError(unknown_name("dynamics.name", conf.name, DYNAMICS))
    return DYNAMICS[conf.name](config, dataset, device, on_epoch)


def true_dynamics(
    dataset: OfflineDataset, device: torch.device, *, threads: int | None = None
) -> TrueDynamics:
    """The dataset's environment itself as a model. Raises ConfigError where it has none, or none is known here."""
    if dataset.env is None:
        raise ConfigError("the true dynamics need to know the environment: set dataset.env=<id>")
    return TrueDynamics(dataset.env, threads=threads, device=device)


def _mujoco(
    config: Config, dataset: OfflineDataset, device: torch.device, on_epoch: OnEpoch | None
) -> TrueDynamics:
    conf: TrueDynamicsConf = config.dynamics
    truth = true_dynamics(dataset, device, threads=conf.threads)
    print(f"  dynamics     {truth.env.id} itself, simulated: there is nothing to fit")
    return truth


def _interpolated(
    config: Config, dataset: OfflineDataset, device: torch.device, on_epoch: OnEpoch | None
) -> Interpolated:
    conf: InterpolatedConf = config.dynamics
    truth = true_dynamics(dataset, device, threads=conf.threads)  # before the fit: it may be unknown
    learned = _ensemble(replace(config, dynamics=conf.ensemble), dataset, device, on_epoch)
    return Interpolated(learned, truth, conf.weight, _untrained(learned, device))


def _untrained(learned: Ensemble, device: torch.device) -> Ensemble:
    """The model as it was before its fit, but for its inputs, which are standardised alike."""
    untrained = Ensemble(**learned.config(), termination=learned.termination, device=device)
    untrained.normaliser.load_state_dict(learned.normaliser.state_dict())
    return untrained


def _custom_dynamics(
    config: Config, dataset: OfflineDataset, device: torch.device, on_epoch: OnEpoch | None
) -> Dynamics:
    conf: CustomDynamicsConf = config.dynamics
    return import_target(conf._target_)(dataset, seeds=tuple(config.seeds), device=device, **conf.kwargs)


def _ensemble(
    config: Config, dataset: OfflineDataset, device: torch.device, on_epoch: OnEpoch | None
) -> Ensemble:
    conf: EnsembleConf = config.dynamics
    seeds = tuple(config.seeds) if conf.per_seed else (0,)
    termination = _termination(conf.termination, dataset, seeds, device, config.train.progress)
    if conf.path:
        dims = {"obs_dim": dataset.obs_dim, "action_dim": dataset.action_dim}
        check = {"env": dataset.env, "dataset_sha256": dataset.sha256, **dims}
        return load_model(conf.path, termination=termination, device=device, **check)
    model, report = fit_cached(
        conf.cache,
        lambda: unfitted(config, dataset, device, termination),
        dataset.with_successor(),
        dataset_id=dataset.id,
        dataset_sha256=dataset.sha256,
        env=dataset.env,
        progress=config.train.progress,
        on_epoch=on_epoch,
        **fit_options(conf),
    )
    print(report.summary())
    return model


def learned_conf(config: Config) -> EnsembleConf | None:
    """The options of the model that is fitted or found in a cache; None where there is none."""
    conf = config.dynamics.ensemble if isinstance(config.dynamics, InterpolatedConf) else config.dynamics
    return conf if isinstance(conf, EnsembleConf) else None


def fit_is_due(config: Config, dataset: OfflineDataset) -> bool:
    """Whether `dynamics_from_config` would fit an ensemble rather than load or find one, which takes minutes."""
    conf = learned_conf(config)
    if conf is None or conf.path:
        return False
    model = unfitted(replace(config, dynamics=conf), dataset, torch.device("cpu"), never)
    rows, options = dataset.with_successor(), fit_options(conf)
    identity = {"dataset_sha256": dataset.sha256, "env": dataset.env, "options": options}
    return not (Path(conf.cache) / f"ensemble-{cache_key(model, rows, **identity)}").is_dir()


def unfitted(
    config: Config, dataset: OfflineDataset, device: torch.device, termination: Termination
) -> Ensemble:
    """The ensemble of dynamics.*, as it is before a fit."""
    conf: EnsembleConf = config.dynamics
    seeds = tuple(config.seeds) if conf.per_seed else (0,)
    sizes = keywords(conf, without=(*FIT_OPTIONS, *ELSEWHERE))
    dims = dataset.obs_dim, dataset.action_dim
    return Ensemble(*dims, seeds=seeds, termination=termination, device=device, **sizes)


def fit_options(conf: EnsembleConf) -> dict[str, Any]:
    """Arguments of mbrl.dynamics.fit."""
    return {name: getattr(conf, name) for name in FIT_OPTIONS}


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


DYNAMICS = {
    "ensemble": _ensemble,
    "mujoco": _mujoco,
    "interpolated": _interpolated,
    "custom": _custom_dynamics,
}
