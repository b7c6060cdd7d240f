"""Plain arrays of an HDF5 file, whose contents are its own: no objects, no links to other files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mbrl.core.errors import DataError, MbrlError

RATIO, ROOM = 2000, 1 << 24
"""No compression of HDF5 makes more than about 1,000 bytes of one; small files may hold unwritten zeros."""
DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError, OverflowError, AttributeError)
"""What h5py raises for files that are not sound."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for reading. Raises DataError for one that is not HDF5, or damaged, also while it is read."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except MbrlError:
        raise
    except DAMAGE as error:
        raise DataError(f"{path} is not an HDF5 file, or is truncated or damaged: {error}") from error


def plain_array(file: h5py.File, key: str, path: Path) -> np.ndarray:
    """The array at `key`. Raises DataError for objects, links to other files, and sizes no such file can have."""
    _check_links(file, key, path)
    dataset = file[key]
    if dataset.dtype.hasobject:
        raise DataError(f"{path}: {key} holds variable-length objects; store a plain array of numbers")
    if dataset.external or dataset.is_virtual:
        raise DataError(f"{path}: {key} lies in another file; a dataset holds its own numbers")
    if dataset.nbytes > ROOM + RATIO * path.stat().st_size:
        raise DataError(
            f"{path}: {key} claims to be {dataset.nbytes:,} bytes in a file of {path.stat().st_size:,}: damaged"
        )
    try:
        return np.asarray(dataset[()])
    except DAMAGE as error:
        raise DataError(f"{path}: {key} cannot be read, the file is truncated or damaged: {error}") from error


def _check_links(file: h5py.File, key: str, path: Path) -> None:
    parts = key.split("/")
    for i in range(len(parts)):
        place = "/".join(parts[: i + 1])
        if not isinstance(file.get(place, getlink=True), h5py.HardLink):
            raise DataError(f"{path}: {place} is a link; a dataset holds its own numbers")
