"""Files that are there in whole or not at all, also after a power cut."""

import hashlib
import os
from pathlib import Path

from mbrl.core.errors import ConfigError

CHUNK = 1 << 20


def flush(path: Path) -> None:
    """fsync a file or folder, so that a rename never outlives its contents. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace the file in one step: written beside, flushed to disk, renamed. Text is stored as UTF-8.

    Raises OSError, and leaves the old file as it was.
    """
    fresh = path.with_name(f"{path.name}.fresh")
    try:
        fresh.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        flush(fresh)
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    flush(path.parent)


def write_output(path: Path, content: str | bytes) -> None:
    """`write_whole` for what somebody asked for, a report or a picture; makes its folder.

    Raises ConfigError, naming the file, and leaves the old file as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error}); make room, or choose another folder"
        ) from error


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file's bytes, read piece by piece. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return found.hexdigest()
