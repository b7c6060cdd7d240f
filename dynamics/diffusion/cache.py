"""Fit once: all runs on one dataset with the same settings share one diffusion model."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mbrl.datasets.dataset import OfflineDataset
from mbrl.dynamics.artefact import digest
from mbrl.dynamics.diffusion.artefact import FORMAT, load_diffusion, save_diffusion
from mbrl.dynamics.diffusion.fit import DiffusionReport, fit_diffusion
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.segments import Segments, segments
from mbrl.dynamics.entries import fitted_once, key_of

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
    key = cache_key(fresh, found, dataset.sha256, options)

    def fit() -> tuple[DiffusionModel, DiffusionReport]:
        return fresh, fit_diffusion(fresh, found, **options)

    def save(folder: Path, fitted: tuple[DiffusionModel, DiffusionReport]) -> None:
        identity = {"dataset_id": dataset.id, "dataset_sha256": dataset.sha256}
        save_diffusion(folder, fitted[0], report=fitted[1].as_dict(), **identity)

    def load(entry: Path) -> tuple[DiffusionModel, DiffusionReport]:
        loaded, meta = load_diffusion(entry, shape=found.shape, dataset_sha256=dataset.sha256, device=device)
        return loaded, DiffusionReport(**meta["report"])

    return fitted_once(Path(cache_dir) / f"diffusion-{key}", fit=fit, save=save, load=load)


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
    return key_of(identity)
