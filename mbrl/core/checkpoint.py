"""Nested dicts of tensors on disk: safetensors and JSON, replaced atomically, never a pickle."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mbrl.core.errors import CheckpointError

TENSORS, META = "tensors.safetensors", "meta.json"
Tree = dict[str, Any]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """{"a": {"b": x}} -> {"a/b": x}; an empty dict leaves no trace.

    Raises CheckpointError for anything that is not a tensor or a dict.
    """
    flat: dict[str, Tensor] = {}
    for key, value in tree.items():
        if "/" in key:
            raise CheckpointError(f"{prefix}{key}: keys may not contain '/'")
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, Tensor):
            flat[prefix + key] = value
        else:
            raise CheckpointError(f"{prefix}{key}: only tensors are saved, got {type(value).__name__}")
    return flat


def unflatten(flat: Mapping[str, Tensor]) -> Tree:
    """Inverse of flatten."""
    tree: Tree = {}
    for path, value in flat.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def save_tree(folder: Path | str, tree: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write tree and meta to `folder` so that whatever interrupts, a whole checkpoint can be loaded.

    Written beside, flushed to disk, then swapped in by renames; between the two renames the previous
    checkpoint stands under `<folder>.previous`, where load_tree finds it. Raises CheckpointError if the
    place cannot be written.
    """
    folder = Path(folder)
    fresh, previous = folder.with_name(folder.name + ".fresh"), folder.with_name(folder.name + ".previous")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in flatten(tree).items()}
        save_file(tensors, fresh / TENSORS)
        (fresh / META).write_text(json.dumps(dict(meta), indent=1))
        for path in (fresh / TENSORS, fresh / META, fresh):
            _flush(path)
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        fresh.rename(folder)
        _flush(folder.parent)
        shutil.rmtree(previous, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot write a checkpoint here ({error})") from error


def load_tree(folder: Path | str) -> tuple[Tree, dict[str, Any]]:
    """What save_tree wrote: (tree of CPU tensors, meta). Raises CheckpointError if missing or damaged."""
    folder = Path(folder)
    if not folder.is_dir():
        previous = folder.with_name(folder.name + ".previous")
        if not previous.is_dir():
            raise CheckpointError(f"{folder}: no checkpoint here")
        folder = previous
    meta = _read(folder / META, lambda path: json.loads(path.read_text()))
    return unflatten(_read(folder / TENSORS, load_file)), meta


def exists(folder: Path | str) -> bool:
    """Whether load_tree would find a checkpoint under this name."""
    folder = Path(folder)
    return folder.is_dir() or folder.with_name(folder.name + ".previous").is_dir()


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged or incomplete checkpoint ({error})") from error


def _flush(path: Path) -> None:
    """fsync a file or folder, so that a rename never outlives its contents."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
