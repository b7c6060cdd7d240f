"""sha256 of what was loaded, so that results can name their data exactly."""

import hashlib
from pathlib import Path

import numpy as np

from mbrl.datasets.record import Record

_CHUNK = 1 << 20


def file_sha256(path: Path) -> str:
    """Of the file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def record_sha256(record: Record) -> str:
    """Of the columns' names, types, shapes and values, in a fixed order and byte order."""
    digest = hashlib.sha256()
    for name, values in sorted(record.present().items()):
        values = np.ascontiguousarray(values)
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(values.data if values.size else b"")
    return digest.hexdigest()
