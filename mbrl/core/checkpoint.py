"""Nested dicts of tensors on disk: safetensors, JSON and their checksums, replaced atomically, never a pickle."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mbrl.core.errors import CheckpointError
from mbrl.core.files import flush, sha256_of

TENSORS, META, SUMS = "tensors.safetensors", "meta.json", "sha256sums"
SWAPS = 10
"""How often in a row a folder may be swapped while it is read."""
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
    """Inverse of flatten. Raises CheckpointError for a name that is another's folder."""
    tree: Tree = {}
    for path, value in flat.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if isinstance(node, Tensor):
                raise CheckpointError(f"{path}: {parent} is a tensor already, nothing can lie below it")
        if name in node:
            raise CheckpointError(f"{path}: there are tensors below this name already")
        node[name] = value
    return tree


def save_tree(folder: Path | str, tree: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write tree and meta to `folder` so that whatever interrupts, a whole checkpoint can be loaded.

    Written beside, flushed to disk, read back and compared, then swapped in by renames. The checkpoint it replaces
    stays under `<folder>.previous`, where load_tree finds it should this one come to harm. `sha256sums` is what
    `sha256sum -c` reads. Raises CheckpointError if the place cannot be written, or does not give back what was
    written; the checkpoint in `folder` is then as it was.
    """
    folder = Path(folder)
    fresh, previous = folder.with_name(folder.name + ".fresh"), previous_of(folder)
    plain = {"memory_format": torch.contiguous_format}
    tensors = {k: v.detach().cpu().clone(**plain) for k, v in flatten(tree).items()}
    text = json.dumps(dict(meta), indent=1)
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _write(fresh, tensors, text)
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        fresh.rename(folder)
        flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)  # a full disk is none the fuller for having been tried
        raise CheckpointError(f"{folder}: cannot write a checkpoint here ({error})") from error


def load_tree(folder: Path | str) -> tuple[Tree, dict[str, Any]]:
    """What save_tree wrote: (tree of CPU tensors, meta).

    Of a damaged checkpoint the previous one is loaded, and a warning names both. Raises CheckpointError if there is
    no sound one. One without checksums, of an earlier version, is taken as it is.
    """
    folder, previous = Path(folder), previous_of(Path(folder))
    if not folder.is_dir():
        if not previous.is_dir():
            raise CheckpointError(f"{folder}: no checkpoint here")
        return _load(previous)
    try:
        return _load_settled(folder)
    except CheckpointError as damage:
        if not previous.is_dir():
            raise
        found = _load_instead(previous, damage)
        print(f"warning: {damage}; {previous} is used in its place", file=sys.stderr, flush=True)
        return found


def recover(folder: Path | str) -> None:
    """Before a run goes on: a damaged checkpoint moves to <folder>.damaged, and the previous one takes its place.

    So the next save does not keep the damaged one as the previous. Nothing happens to a sound one, or where there
    is none. Raises CheckpointError if there is no sound one, or they cannot be moved.
    """
    folder, previous = Path(folder), previous_of(Path(folder))
    if not folder.is_dir():
        return
    try:
        _load(folder)
    except CheckpointError as damage:
        if not previous.is_dir():
            raise
        _load_instead(previous, damage)
        aside = folder.with_name(folder.name + ".damaged")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            previous.rename(folder)
            flush(folder.parent)
        except OSError as error:
            raise CheckpointError(f"{damage}; {previous} cannot take its place ({error})") from error
        note = f"warning: {damage}; the previous one takes its place, and it is kept as {aside}"
        print(note, file=sys.stderr, flush=True)


def exists(folder: Path | str) -> bool:
    """Whether load_tree would find a checkpoint under this name."""
    folder = Path(folder)
    return folder.is_dir() or previous_of(folder).is_dir()


def previous_of(folder: Path) -> Path:
    """Where the checkpoint stands that the one in `folder` replaced."""
    return folder.with_name(folder.name + ".previous")


def _write(fresh: Path, tensors: Mapping[str, Tensor], meta: str) -> None:
    """All files of a checkpoint, on disk and found to hold what they should."""
    save_file(dict(tensors), fresh / TENSORS, metadata={"checksums": SUMS})
    (fresh / META).write_text(meta, encoding="utf-8")
    for name in (TENSORS, META):
        flush(fresh / name)
    # Digests first: what changes before the comparison is found by it, what changes later by the digests.
    sums = {name: sha256_of(fresh / name) for name in (TENSORS, META)}
    with safe_open(fresh / TENSORS, "pt") as stored:
        whole = set(stored.keys()) == tensors.keys() and all(
            _same_bits(stored.get_tensor(name), x) for name, x in tensors.items()
        )
    if not whole or (fresh / META).read_text(encoding="utf-8") != meta:
        raise OSError("what is read back is not what was written: is the disk sound?")
    (fresh / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    flush(fresh / SUMS)
    flush(fresh)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    """Of two contiguous tensors; NaN equals itself."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    return torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


def _load(folder: Path) -> tuple[Tree, dict[str, Any]]:
    """One checkpoint, whatever lies beside it. Raises CheckpointError."""
    _check_sums(folder)
    meta = _read(folder / META, lambda path: json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(meta, dict):
        raise CheckpointError(f"{folder / META}: damaged or incomplete checkpoint (not a JSON object)")
    return _read(folder / TENSORS, lambda path: unflatten(load_file(path))), meta


def _load_settled(folder: Path) -> tuple[Tree, dict[str, Any]]:
    """_load, but once more if the folder was swapped for another meanwhile: its run is saving."""
    for _ in range(SWAPS):
        before = _inode(folder)
        try:
            return _load(folder)
        except CheckpointError:
            if _inode(folder) == before:
                raise
    return _load(folder)


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _load_instead(previous: Path, damage: CheckpointError) -> tuple[Tree, dict[str, Any]]:
    try:
        return _load(previous)
    except CheckpointError as error:
        raise CheckpointError(f"{damage}; the previous one cannot be used either: {error}") from damage


def _check_sums(folder: Path) -> None:
    """CheckpointError if a file is not what `sha256sums` says, or that is missing where it should be."""
    if not (folder / SUMS).is_file():
        marked = _read(folder / TENSORS, _marked)
        if marked:
            raise CheckpointError(f"{folder / SUMS}: damaged or incomplete checkpoint (no such file)")
        return
    lines = _read(folder / SUMS, lambda path: path.read_text(encoding="utf-8").splitlines())
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (META, TENSORS):
        if name not in sums:
            raise CheckpointError(f"{folder / SUMS}: damaged or incomplete checkpoint (no line for {name})")
        if _read(folder / name, sha256_of) != sums[name]:
            raise CheckpointError(
                f"{folder / name}: damaged or incomplete checkpoint (its sha256 is not that in {SUMS})"
            )


def _marked(path: Path) -> bool:
    """Whether the tensors were written together with checksums."""
    with safe_open(path, "pt") as stored:
        return "checksums" in (stored.metadata() or {})


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged or incomplete checkpoint ({error})") from error
