"""Named arrays of an npz file, and nothing else of it: no pickles, no names that are paths to elsewhere."""

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from mbrl.core.errors import DataError

DAMAGE = (
    OSError,  # reading it; bzip2 members that are not bzip2
    EOFError,  # an empty file, or a member that ends too early
    ValueError,  # numpy: no npy or npz, a shape or type that is none, pickled objects
    SyntaxError,  # numpy: the text that says type and shape is no Python literal
    tokenize.TokenError,  # the same, where the text ends within brackets
    TypeError,  # numpy: that text holds what cannot be a key, a type or a size
    OverflowError,  # numpy: sizes beyond 64 bits
    MemoryError,  # sizes beyond the memory there is
    KeyError,  # zipfile: a member that the archive names but does not hold
    RuntimeError,  # zipfile: an encrypted member; NotImplementedError: a kind or version of archive it cannot read
    zipfile.BadZipFile,  # no archive, or a checksum that does not fit
    zlib.error,  # a deflated member that is not deflated
    lzma.LZMAError,  # the same of LZMA
)
"""What numpy and zipfile raise for files that are not sound."""


def read_npz_arrays(
    path: Path, wanted: Mapping[str, str] | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """({own name: array} of the keys {key: own name} that are there, all keys). Nothing is unpacked to disk.

    wanted: None is all keys, under their names.

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
                names = dict(zip(file.files, file.files, strict=True)) if wanted is None else wanted
                found = {names[key]: _member(file, key, path) for key in file.files if key in names}
                return found, file.files
    except DataError:
        raise
    except DAMAGE as error:
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
    except DAMAGE as error:
        if "allow_pickle" in str(error):  # an object array, which only unpickling could read
            text = "holds pickled objects, which are never loaded; store a plain array"
            raise DataError(f"{path}: {key} {text}") from error
        raise DataError(f"{path}: {key} cannot be read, the file is truncated or damaged: {error}") from error
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: {key} is not an array")
    return values
