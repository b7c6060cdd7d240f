"""Fit once: ten agent runs on one dataset with the same settings share one dynamics model."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mbrl.core.types import EnvSpec, Transitions
from mbrl.dynamics.artefact import FORMAT, digest, load_model, read_description, save_model
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.entries import fitted_once, key_of
from mbrl.dynamics.fit import FitReport, fit

SILENT = ("progress", "on_epoch")
"""Options of `fit` that leave no trace in the model."""


def fit_cached(
    cache_dir: Path | str,
    make: Callable[[], Ensemble],
    transitions: Transitions,
    *,
    dataset_id: str,
    dataset_sha256: str,
    env: EnvSpec | None = None,
    **options: Any,
) -> tuple[Ensemble, FitReport]:
    """make() fitted to the transitions, or the same fit from an earlier run; and its report.

    The key covers dataset, rows, environment, every setting of the ensemble and of `fit` (defaults included) and
    the seeds, but neither termination, which make() decides afresh, nor device. Of several processes that want
    the same model one fits and the others wait for it; an entry appears in one rename, so an interrupted fit leaves
    none behind. Raises what fit, save_model and load_model raise.
    """
    ensemble = make()
    key = cache_key(ensemble, transitions, dataset_sha256=dataset_sha256, env=env, options=options)

    def fit_here() -> tuple[Ensemble, FitReport]:
        return ensemble, fit(ensemble, transitions, **options)

    def save(folder: Path, fitted: tuple[Ensemble, FitReport]) -> None:
        identity = {"env": env, "dataset_id": dataset_id, "dataset_sha256": dataset_sha256}
        save_model(folder, fitted[0], report=fitted[1].as_dict(), **identity)

    def load(entry: Path) -> tuple[Ensemble, FitReport]:
        loaded = load_model(
            entry,
            env=env,
            obs_dim=transitions.obs_dim,
            action_dim=transitions.action_dim,
            dataset_sha256=dataset_sha256,
            termination=ensemble.termination,
            device=ensemble.elites.device,
        )
        return loaded, FitReport(**read_description(entry)["report"])

    return fitted_once(Path(cache_dir) / f"ensemble-{key}", fit=fit_here, save=save, load=load)


def cache_key(
    ensemble: Ensemble,
    transitions: Transitions,
    *,
    dataset_sha256: str,
    env: EnvSpec | None,
    options: Mapping[str, Any],
) -> str:
    """Digest of everything that decides a fit. Raises TypeError for an option `fit` does not have."""
    bound = inspect.signature(fit).bind(ensemble, transitions, **options)
    bound.apply_defaults()
    settings = {k: v for k, v in bound.arguments.items() if k not in ("ensemble", "transitions", *SILENT)}
    identity = {
        "format": FORMAT,
        "model": ensemble.config(),
        "dataset": dataset_sha256,
        # Part of a dataset, or one loaded with other options, is another dataset.
        "rows": digest(
            {name: getattr(transitions, name) for name in ("obs", "action", "reward", "next_obs")}
        ),
        "env": None if env is None else [env.id, dict(env.kwargs)],
        "fit": settings,
    }
    return key_of(identity)
