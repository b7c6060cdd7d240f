"""Named arrays of an npz file, and nothing else of it: no pickles, no names that are paths to elsewhere."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from mbrl.core.errors import DataError

DAMAGE = (OSError, EOFError, ValueError, SyntaxError, KeyError, TypeError, OverflowError, NotImplementedError)
"""What numpy and zipfile raise for files that are not sound."""


def read_npz_arrays(path: Path, wanted: Mapping[str, str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """({own name: array} of the keys {key: own name} that are there, all keys). Nothing is unpacked to disk.

    Raises DataError, with the file and key, for a file that is not npz, damaged, holds pickled objects, or has a
    member whose name leads out of a folder.
    """
    try:
        # Opened here, since numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single array; expected an npz file with named arrays")
            with file:
                _check_names(file.files, path)
                found = {wanted[key]: _member(file, key, path) for key in file.files if key in wanted}
                return found, file.files
    except DataError:
        raise
    except (*DAMAGE, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{path} is not an npz file, or is truncated or damaged: {error}") from error


def _check_names(names: list[str], path: Path) -> None:
    for name in names:
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in name:
            raise DataError(
                f"{path}: a member is called {name!r}, a path to elsewhere; such a file is not read"
            )


def _member(file: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    try:
        values = file[key]
    except MemoryError as error:
        raise DataError(f"{path}: {key} does not fit into memory ({error}); is the file damaged?") from error
    except (*DAMAGE, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        if "allow_pickle" in str(error):  # an object array, which only unpickling could read
            text = "holds pickled objects, which are never loaded; store a plain array"
            raise DataError(f"{path}: {key} {text}") from error
        raise DataError(f"{path}: {key} cannot be read, the file is truncated or damaged: {error}") from error
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: {key} is not an array")
    return values
