"""Run folders below others: runs, stacks of points, grids and studies."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbrl.core.errors import DataError
from mbrl.diagnose.runs.files import read_json, read_yaml

PARTS_OF_A_RUN = {"checkpoint", "tensorboard", "diagnose"}


def find_runs(places: Sequence[Path | str]) -> list[Path]:
    """Folders of single runs at or below `places`, each once, in the order of the places, sorted below each.

    A place may be a glob. The folder of a stack stands for its points. A run that has a configuration but no
    result.json yet is found, too. Raises DataError for a place without any run.
    """
    found: dict[Path, Path] = {}
    for place in (match for text in places for match in _matches(str(text))):
        runs = list(_below(place))
        if not runs:
            raise DataError(
                f"{place}: no result.json in or below it; name folders of runs, or of grids of them"
            )
        for run in runs:
            found.setdefault(run.resolve(), run)
    if not found:
        raise DataError("no run folders given")
    return list(found.values())


def _matches(text: str) -> list[Path]:
    """A place, or what a glob stands for where the shell left it as it is."""
    place = Path(text)
    if place.exists() or not any(sign in text for sign in "*?["):
        return [place]
    matches = sorted(Path(place.anchor or ".").glob(str(place.relative_to(place.anchor))))
    if not matches:
        raise DataError(f"{text}: nothing matches; name folders of runs, or of grids of them")
    return [match for match in matches if match.is_dir()]


def _below(folder: Path) -> Iterator[Path]:
    if (folder / "result.json").is_file():
        points = read_json(folder / "result.json").get("points")
        if points is None:
            yield folder
        elif not isinstance(points, dict):
            raise DataError(f"{folder}/result.json: points is not a table of names and how they ended")
        for name in points or ():
            yield from _below(_inside(folder, name))
        return
    runs = [run for child in _folders(folder) for run in _below(child)]
    yield from runs or ([folder] if _began(folder) else [])


def _inside(folder: Path, name: str) -> Path:
    if name in ("", "..") or "\x00" in name or Path(name).name != name:
        raise DataError(f"{folder}/result.json: the point {name!r} is not the name of a folder in it")
    return folder / name


def _folders(folder: Path) -> list[Path]:
    """Folders that may hold runs: no links, which may lead in circles."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error
    return [
        folder / name for name in sorted(names) if not name.startswith(".") and name not in PARTS_OF_A_RUN
    ]


def _began(folder: Path) -> bool:
    """A run that has not ended, or was killed: it has a configuration of one, and no result."""
    config = folder / "config.yaml"
    return config.is_file() and {"agent", "seeds", "train"} <= read_yaml(config).keys()
