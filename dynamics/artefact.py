"""A trained ensemble on disk: a folder that says what it is and refuses a use it does not fit."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mbrl import __version__
from mbrl.core.checkpoint import TENSORS, load_tree, save_tree
from mbrl.core.errors import CheckpointError, ConfigError, MismatchError
from mbrl.core.types import EnvSpec, Termination
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.learned_termination import LearnedTermination
from mbrl.dynamics.termination import PICTURE, PICTURE_V5, never, termination_for

FORMAT = 1
"""Raised whenever the meaning of what is stored changes."""


def save_model(
    folder: Path | str,
    ensemble: Ensemble,
    *,
    env: EnvSpec | None = None,
    dataset_id: str | None = None,
    dataset_sha256: str | None = None,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write the ensemble, its normaliser, elites and learned termination to `folder`, atomically.

    Beside the tensors stands a JSON description: dims, sizes, elites, environment, dataset, versions, and the
    fit's report. Raises CheckpointError where `folder` cannot be written.
    """
    tensors = ensemble.state_dict()
    meta = {
        "format": FORMAT,
        "kind": "ensemble",
        "model": ensemble.config(),
        "elites": ensemble.elites.tolist(),
        "termination": _describe_termination(ensemble.termination, env),
        "env": None if env is None else _describe_env(env),
        "dataset": {"id": dataset_id, "sha256": dataset_sha256},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "mbrl": __version__,
        },
        "report": None if report is None else dict(report),
        "tensors_sha256": digest(tensors),
    }
    save_tree(folder, tensors, meta)


def load_model(
    folder: Path | str,
    *,
    env: EnvSpec | None = None,
    obs_dim: int | None = None,
    action_dim: int | None = None,
    dataset_sha256: str | None = None,
    termination: Termination | None = None,
    device: torch.device | str = "cpu",
) -> Ensemble:
    """The saved ensemble, with its saved termination rule unless one is given.

    Whatever is given of env, dims and dataset must be what the model was fitted for. Raises MismatchError where
    it is not, CheckpointError for a missing, damaged or foreign folder, ConfigError where the rule was a
    function of the user's own, which no file can hold, and `termination` is not given.
    """
    folder = Path(folder)
    tensors, meta = _read(folder)
    _check_use(folder, meta, env, {"obs_dim": obs_dim, "action_dim": action_dim}, dataset_sha256)
    try:
        rule = termination if termination is not None else _saved_termination(folder, meta)
        ensemble = Ensemble(**meta["model"], termination=rule, device=device)
        own = {k: v for k, v in tensors.items() if termination is None or not k.startswith("termination.")}
        given = termination.state_dict(prefix="termination.") if isinstance(termination, nn.Module) else {}
        ensemble.load_state_dict({**own, **given})
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: description and {TENSORS} do not belong together ({error})"
        ) from error
    return ensemble


def read_description(folder: Path | str) -> dict[str, Any]:
    """The JSON description of a saved model. Raises CheckpointError as load_model does."""
    return _read(Path(folder))[1]


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, meta = load_tree(folder)
    if meta.get("kind") != "ensemble":
        raise CheckpointError(f"{folder}: not a saved dynamics ensemble")
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder}: written in format {meta.get('format')}, this version reads {FORMAT}"
        )
    lacking = {"model", "termination", "env", "dataset", "report", "tensors_sha256"} - meta.keys()
    if lacking:
        raise CheckpointError(f"{folder}: its description lacks {', '.join(sorted(lacking))}")
    if digest(tensors) != meta["tensors_sha256"]:
        raise CheckpointError(f"{folder / TENSORS}: damaged, its contents do not match the recorded digest")
    return tensors, meta


def _check_use(
    folder: Path,
    meta: Mapping[str, Any],
    env: EnvSpec | None,
    dims: Mapping[str, int | None],
    dataset_sha256: str | None,
) -> None:
    """MismatchError unless everything asked for, and known of the model, is the same."""
    for name, want in dims.items():
        if want is not None and meta["model"][name] != want:
            raise MismatchError(f"{folder}: model has {name} {meta['model'][name]}, asked for {want}")
    saved = meta["env"]
    if env is not None and saved is not None:
        if saved["id"] != env.id:
            raise MismatchError(f"{folder}: model is of {saved['id']}, asked for {env.id}")
        if _physical(saved["kwargs"]) != _physical(_describe_env(env)["kwargs"]):
            raise MismatchError(
                f"{folder}: model is of {env.id} with arguments {saved['kwargs']}, asked for {dict(env.kwargs)}"
            )
    known = meta["dataset"]["sha256"]
    if None not in (dataset_sha256, known) and known != dataset_sha256:
        raise MismatchError(
            f"{folder}: model was fitted to dataset {meta['dataset']['id']} (sha256 {known[:12]}...), "
            f"asked for sha256 {dataset_sha256[:12]}...; fit a model to this dataset"
        )


def _describe_env(env: EnvSpec) -> dict[str, Any]:
    """As JSON will give it back: tuples become lists."""
    return json.loads(json.dumps({"id": env.id, "kwargs": dict(env.kwargs), "versions": dict(env.versions)}))


def _physical(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Without the arguments that only concern pictures."""
    return {k: v for k, v in kwargs.items() if k not in PICTURE | PICTURE_V5}


def _describe_termination(rule: Termination, env: EnvSpec | None) -> dict[str, Any]:
    """How load_model can make the rule again; {"kind": "custom"} if it cannot."""
    if isinstance(rule, LearnedTermination):
        return {"kind": "learned", "seeds": list(rule.seeds), "hidden": list(rule.hidden)}
    if rule is never:
        return {"kind": "none"}
    try:
        known = env is not None and rule == termination_for(env)
    except ConfigError:
        known = False  # no rule for this environment, so it must be the user's own
    return {"kind": "environment" if known else "custom"}


def _saved_termination(folder: Path, meta: Mapping[str, Any]) -> Termination:
    kind = meta["termination"]["kind"]
    if kind == "custom":
        raise ConfigError(
            f"{folder}: the model was saved with a termination function of your own; pass it again"
        )
    return TERMINATION_KINDS[kind](meta)


def _learned(meta: Mapping[str, Any]) -> Termination:
    model, spec = meta["model"], meta["termination"]
    return LearnedTermination(
        model["obs_dim"], model["action_dim"], seeds=spec["seeds"], hidden=spec["hidden"]
    )


TERMINATION_KINDS: dict[str, Callable[[Mapping[str, Any]], Termination]] = {
    "none": lambda meta: never,
    "environment": lambda meta: termination_for(EnvSpec(**meta["env"])),
    "learned": _learned,
}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in order of name."""
    sha256 = hashlib.sha256()
    for name, x in sorted(tensors.items()):
        sha256.update(f"{name} {x.dtype} {tuple(x.shape)} ".encode())
        sha256.update(x.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()
