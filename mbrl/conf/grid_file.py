"""Grids as files: which options take which values, read from mbrl/conf/grid/<name>.yaml or the user's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mbrl.core.errors import ConfigError, unknown_name

FOLDER = Path(__file__).parent / "grid"
KEYS = ("about", "source", "overrides", "blocks")

Block = dict[str, list[str]]
"""{option: its values as the command line reads them}; its points are their product."""


@dataclass(frozen=True)
class Grid:
    """A grid: the union of its blocks. overrides: of every point, before those of its block."""

    name: str
    about: str
    source: str
    overrides: tuple[str, ...]
    blocks: tuple[Block, ...]


def grid_files(config_dir: str | None = None) -> dict[str, Path]:
    """{name: file} of every grid; one in config_dir/grid takes the place of ours of the same name."""
    places = [FOLDER, *([Path(config_dir) / "grid"] if config_dir else [])]
    found = {path.stem: path for place in places for path in place.glob("*.yaml")}
    return {name: found[name] for name in sorted(found)}


def load_grid(name: str, config_dir: str | None = None) -> Grid:
    """The grid of that name.

    Raises ConfigError for an unknown name, with near matches, and for a file that is not a grid, naming file and
    key.
    """
    files = grid_files(config_dir)
    if name not in files:
        raise ConfigError(unknown_name("grid", name, files))
    path = files[name]
    found = _read(path)
    if unknown := sorted(map(str, found.keys() - set(KEYS))):
        raise ConfigError(f"{path}: {unknown_name('key', unknown[0], KEYS)}")
    for key in ("about", "source"):
        if not isinstance(found.get(key), str):
            raise ConfigError(f"{path}: {key} must be a line of text, got {found.get(key)!r}")
    overrides, blocks = found.get("overrides") or [], found.get("blocks")
    if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
        raise ConfigError(f"{path}: overrides must be a list of KEY=VALUE, got {overrides!r}")
    if not isinstance(blocks, list) or not blocks:
        raise ConfigError(f"{path}: blocks must be a list of blocks, each {{KEY: [values]}}, got {blocks!r}")
    read = tuple(_block(path, i, block) for i, block in enumerate(blocks))
    return Grid(name, found["about"], found["source"], tuple(overrides), read)


def as_text(value: Any) -> str:
    """A value of the file as the command line reads it: null, true, 0.5, [1,2], {a: 1}; text as it is."""
    if isinstance(value, list):
        return f"[{','.join(map(as_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}: {as_text(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _read(path: Path) -> dict[Any, Any]:
    """The file's mapping. OmegaConf reads safe YAML only, and refuses a key that is there twice."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a grid, or damaged ({error})") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: a grid has the keys {', '.join(KEYS)}, this is a list")
    return found


def _block(path: Path, place: int, block: Any) -> Block:
    where = f"{path}: blocks[{place}]"
    if not isinstance(block, dict) or not block:
        raise ConfigError(f"{where} must be {{KEY: [values]}}, got {block!r}")
    for key, values in block.items():
        if not isinstance(key, str):
            raise ConfigError(f"{where}: {key!r} is not the name of an option")
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{where}: {key} needs a list of values, such as [0, 1], got {values!r}")
    return {key: [as_text(value) for value in values] for key, values in block.items()}
