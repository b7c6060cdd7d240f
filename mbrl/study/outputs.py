"""The files of a study: its rows, how they were made, and the command that makes them again."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mbrl.conf.studies import load_study
from mbrl.core.files import write_output
from mbrl.run.envs import current_versions
from mbrl.study.request import Request

Row = dict[str, Any]


def write_rows(request: Request, rows: Sequence[Row]) -> Path:
    """<out>/<study>.json: a list with one row a cell, its settings, seeds and values; null where not finite.

    Raises ConfigError, like all of these, for a file that cannot be written.
    """
    lines = ",\n ".join(_dumped(row) for row in rows)
    path = request.out / f"{request.study}.json"
    write_output(path, f"[{lines}]\n")
    return path


def write_command(request: Request) -> None:
    """<out>/command.txt, a line for every study in `out`, and <out>/<study>.meta.json.

    The second holds study, scale, command, what it reruns, versions, and the scale's settings.
    """
    path = request.out / "command.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    others = [line for line in lines if f"study={request.study}" not in line.split()]
    write_output(path, "".join(f"{line}\n" for line in [*others, request.command()]))
    study = load_study(request.study)
    meta = {
        "study": request.study,
        "scale": request.scale,
        "command": request.command(),
        "about": study.about,
        "source": study.source,
        "versions": current_versions(),
        "settings": {"overrides": study.overrides, **asdict(study.scales[request.scale])},
    }
    write_output(request.out / f"{request.study}.meta.json", _dumped(meta, indent=1) + "\n")


def write_file(path: Path, value: Any) -> Path:
    """Any values as one JSON file, in one step."""
    write_output(path, _dumped(value) + "\n")
    return path


def ending(row: Row) -> str:
    """How a cell ended: its status, and how many of its seeds diverged where others did not."""
    lost, seeds = len(row.get("diverged") or {}), len(row["seeds"])
    return f"{row['status']}, {lost} of {seeds} seeds diverged" if 0 < lost < seeds else row["status"]


def plain(value: Any) -> Any:
    """Lists and dicts all the way down, with None for numbers that are not finite: JSON has none of those."""
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dumped(value: Any, **options: Any) -> str:
    return json.dumps(plain(value), allow_nan=False, **options)
