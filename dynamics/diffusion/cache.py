"""Fit once: all runs on one dataset with the same settings share one diffusion model."""

import hashlib
import inspect
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mbrl.core.errors import CheckpointError
from mbrl.core.locks import held
from mbrl.datasets.dataset import OfflineDataset
from mbrl.dynamics.artefact import digest
from mbrl.dynamics.diffusion.artefact import FORMAT, load_diffusion, save_diffusion
from mbrl.dynamics.diffusion.fit import DiffusionReport, fit_diffusion
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.segments import Segments, segments

SILENT = ("progress", "on_log")
"""Options of `fit_diffusion` that leave no trace in the model."""


def fit_diffusion_cached(
    cache_dir: Path | str,
    dataset: OfflineDataset,
    *,
    horizon: int,
    model: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> tuple[DiffusionModel, DiffusionReport]:
    """A diffusion model of the dataset's segments of `horizon` transitions, fitted here or in an earlier run.

    model: arguments of DiffusionModel (network, width, depth, action_map, seed, ...); options: those of
    fit_diffusion. The key covers the rows, every setting, defaults included, and the seed, but not the device. Of
    several processes that want the same model one fits and the others wait for it; an entry appears in one rename.
    Raises what segments, DiffusionModel, fit_diffusion, save_diffusion and load_diffusion raise.
    """
    found = segments(dataset, horizon)
    fresh = DiffusionModel(found.shape, **(model or {}), device=device)
    entry = Path(cache_dir) / f"diffusion-{cache_key(fresh, found, dataset.sha256, options)}"
    with held(entry.with_name(entry.name + ".lock"), partial(_say_waiting, entry)):
        if not entry.is_dir():
            report = fit_diffusion(fresh, found, **options)
            _publish(
                entry, fresh, dataset_id=dataset.id, dataset_sha256=dataset.sha256, report=report.as_dict()
            )
            return fresh, report
    loaded, meta = load_diffusion(entry, shape=found.shape, dataset_sha256=dataset.sha256, device=device)
    return loaded, DiffusionReport(**meta["report"])


def cache_key(model: DiffusionModel, found: Segments, dataset_sha256: str, options: Mapping[str, Any]) -> str:
    """Digest of everything that decides a fit. Raises TypeError for an option `fit_diffusion` does not have."""
    bound = inspect.signature(fit_diffusion).bind(model, found, **options)
    bound.apply_defaults()
    settings = {k: v for k, v in bound.arguments.items() if k not in ("model", "segments", *SILENT)}
    identity = {
        "format": FORMAT,
        "model": model.config(),
        "dataset": dataset_sha256,
        "rows": digest({"table": found.table, "last": found.last, "starts": found.starts}),
        "fit": settings,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def _publish(entry: Path, model: DiffusionModel, **description: Any) -> None:
    """Save beside and rename into place; where another process got there first, its entry stands."""
    private = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", dir=entry.parent))
    try:
        save_diffusion(private / "model", model, **description)
        (private / "model").rename(entry)
    except OSError as error:
        if not entry.is_dir():
            raise CheckpointError(f"{entry}: cannot write to the cache ({error})") from error
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _say_waiting(entry: Path) -> None:
    print(f"waiting for another process that is fitting {entry.name}", file=sys.stderr, flush=True)
