"""The text files of a run folder, as plain values; what is wrong with one is named."""

import json
from pathlib import Path
from typing import Any

import yaml

from mbrl.core.errors import DataError

FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Plain values only, ten times faster where libyaml is there."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises DataError, naming the file, for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    return _table(found, path)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping of plain values. Raises DataError, naming the file, for anything else."""
    try:
        loader = FAST(path.read_text(encoding="utf-8"))
        try:
            found = loader.get_single_data()
        finally:
            loader.dispose()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    return _table(found, path)


def _table(found: Any, path: Path) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DataError(f"{path}: not a table of keys and values")
    return found
