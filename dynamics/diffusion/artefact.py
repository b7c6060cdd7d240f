"""A fitted diffusion model on disk: safetensors, and JSON that says what it is."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mbrl import __version__
from mbrl.core.checkpoint import TENSORS, load_tree, save_tree
from mbrl.core.errors import CheckpointError, MismatchError
from mbrl.dynamics.artefact import digest
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.shape import SegmentShape

FORMAT = 1
"""Raised whenever the meaning of what is stored changes."""


def save_diffusion(
    folder: Path | str,
    model: DiffusionModel,
    *,
    dataset_id: str | None = None,
    dataset_sha256: str | None = None,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write the model's averaged weights and units to `folder`, atomically, with a description.

    Raises CheckpointError where `folder` cannot be written.
    """
    tensors = model.state_dict()
    meta = {
        "format": FORMAT,
        "kind": "diffusion",
        "model": model.config(),
        "dataset": {"id": dataset_id, "sha256": dataset_sha256},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "mbrl": __version__},
        "report": None if report is None else dict(report),
        "tensors_sha256": digest(tensors),
    }
    save_tree(folder, tensors, meta)


def load_diffusion(
    folder: Path | str,
    *,
    shape: SegmentShape | None = None,
    dataset_sha256: str | None = None,
    device: torch.device | str = "cpu",
) -> tuple[DiffusionModel, dict[str, Any]]:
    """The saved model and its description; whatever is given must be what it was fitted to.

    Raises MismatchError where it is not, CheckpointError for a missing, damaged or foreign folder.
    """
    folder = Path(folder)
    tensors, meta = load_tree(folder)
    if meta.get("kind") != "diffusion" or meta.get("format") != FORMAT:
        raise CheckpointError(f"{folder}: not a diffusion model in format {FORMAT}")
    if digest(tensors) != meta.get("tensors_sha256"):
        raise CheckpointError(f"{folder / TENSORS}: damaged, its contents do not match the recorded digest")
    try:
        found = dict(meta["model"])
        model = DiffusionModel(SegmentShape.from_dict(found.pop("shape")), **found, device=device)
        model.requires_grad_(False).load_state_dict(tensors)
        known = meta["dataset"]["sha256"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: description and {TENSORS} do not belong together ({error})"
        ) from error
    if shape is not None and shape != model.shape:
        raise MismatchError(f"{folder}: model is of segments {model.shape}, asked for {shape}")
    if None not in (dataset_sha256, known) and known != dataset_sha256:
        raise MismatchError(
            f"{folder}: model was fitted to dataset {meta['dataset']['id']} (sha256 {known[:12]}...), asked for "
            f"sha256 {dataset_sha256[:12]}...; fit a model to this dataset"
        )
    return model, meta
