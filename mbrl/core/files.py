"""Files that are there in whole or not at all, also after a power cut."""

import hashlib
import os
from pathlib import Path

CHUNK = 1 << 20


def flush(path: Path) -> None:
    """fsync a file or folder, so that a rename never outlives its contents. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, text: str) -> None:
    """Replace the file in one step: written beside, flushed to disk, renamed.

    Raises OSError, and leaves the old file as it was.
    """
    fresh = path.with_name(f"{path.name}.fresh")
    try:
        fresh.write_text(text, encoding="utf-8")
        flush(fresh)
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    flush(path.parent)


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file's bytes, read piece by piece. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return found.hexdigest()
