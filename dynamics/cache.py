"""Fit once: ten agent runs on one dataset with the same settings share one dynamics model."""

import hashlib
import inspect
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mbrl.core.errors import CheckpointError
from mbrl.core.locks import held
from mbrl.core.types import EnvSpec, Transitions
from mbrl.dynamics.artefact import FORMAT, digest, load_model, read_description, save_model
from mbrl.dynamics.ensemble import Ensemble
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
    entry = Path(cache_dir) / f"ensemble-{key}"
    # Without file locks two fits may run side by side; the second is dropped.
    with held(entry.with_name(entry.name + ".lock"), partial(_say_waiting, entry)):
        if not entry.is_dir():
            report = fit(ensemble, transitions, **options)
            identity = {"env": env, "dataset_id": dataset_id, "dataset_sha256": dataset_sha256}
            if _publish(entry, ensemble, report=report.as_dict(), **identity):
                return ensemble, report
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
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def _publish(entry: Path, ensemble: Ensemble, **description: Any) -> bool:
    """Save beside and rename into place; False if another process got there first, whose model then stands."""
    private = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", dir=entry.parent))
    try:
        save_model(private / "model", ensemble, **description)
        (private / "model").rename(entry)
    except OSError as error:
        if not entry.is_dir():
            raise CheckpointError(f"{entry}: cannot write to the cache ({error})") from error
        return False
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return True


def _say_waiting(entry: Path) -> None:
    print(f"waiting for another process that is fitting {entry.name}", file=sys.stderr, flush=True)
