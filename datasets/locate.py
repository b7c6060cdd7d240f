"""Where datasets lie: the embedded sample, D4RL's folder, a path."""

import os
import re
from pathlib import Path

from mbrl.core.errors import DataError, unknown_name
from mbrl.datasets.names import HOST, PATHS

SAMPLES = Path(__file__).parent / "sample"
SAMPLE = "invertedpendulum-v5-medium-replay-v0"
"""What "sample" stands for; the others are for tests and for trying out studies."""
LONGEST = 200
"""Characters of a name in an id: file systems take 255, and suffixes come on top."""
_ID = re.compile(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*")


def checked_id(id: str) -> str:
    """The id, if it is names joined by slashes; ids become folder names, so nothing may climb out of one.

    Raises DataError for anything else ("../x", "/etc", "a//b").
    """
    if not _ID.fullmatch(id) or max(map(len, id.split("/"))) > LONGEST:
        raise DataError(
            f"dataset id {id!r:.300} is not names of letters, digits, '_', '-', '+', '.' joined by '/', each of at "
            f"most {LONGEST}"
        )
    return id


def local_id(name: str) -> str:
    """An id for a file that has none: "local/" and the name, with other characters as dashes."""
    return f"local/{re.sub(r'[^A-Za-z0-9_.+-]+', '-', name).strip('.-') or 'unnamed'}"


def existing_file(path: str | Path) -> Path:
    """The path, ~ expanded. Raises DataError, with the nearest names in its folder, if no file is there."""
    path = checked_path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file")
    if not path.parent.is_dir():
        raise DataError(f"no file {path}: there is no folder {path.parent}")
    here = [p.name for p in path.parent.iterdir() if p.is_file()]
    raise DataError(f"{unknown_name('file', path.name, here)} (in {path.parent})")


def checked_path(path: str | Path) -> Path:
    """The path, ~ expanded. Raises DataError for what the system takes for no path at all, such as a null byte."""
    try:
        found = Path(path).expanduser()
        found.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return found
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{str(path)!r:.120} is no path that can be read: {error}") from error
    return found


def sample_file(name: str = "") -> Path:
    """The embedded sample by name; without one, SAMPLE, or the only one there is."""
    known = sorted(p.stem for p in SAMPLES.glob("*.hdf5"))
    if not name and (len(known) == 1 or SAMPLE in known):
        name = known[0] if len(known) == 1 else SAMPLE
    if name not in known:
        raise DataError(unknown_name("sample dataset", name, known))
    return SAMPLES / f"{name}.hdf5"


def d4rl_folder() -> Path:
    """$D4RL_DATASET_DIR, or D4RL's default ~/.d4rl/datasets."""
    return Path(os.environ.get("D4RL_DATASET_DIR") or Path.home() / ".d4rl" / "datasets").expanduser()


def d4rl_file(name: str) -> Path:
    """The HDF5 file of a D4RL dataset, under D4RL's own file name or the dataset's.

    Raises DataError for a name D4RL has not (nearest names), and for a file that is not there (where to get it).
    """
    if name not in PATHS:
        family = [known for known in PATHS if known.split("-")[0] == name.split("-")[0]]
        raise DataError(
            f"{unknown_name('D4RL dataset', name, family or PATHS)}. The version is part of the name; a file of "
            "another name loads by its path"
        )
    folder = d4rl_folder()
    candidates = [folder / PATHS[name].rsplit("/", 1)[1], folder / f"{name}.hdf5"]
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(
        f"D4RL dataset {name!r} is not in {folder}: no {' or '.join(p.name for p in candidates)}. Get "
        f"{HOST}/{PATHS[name]} (or copy it from a machine that has it) and put it there, or set D4RL_DATASET_DIR"
    )
