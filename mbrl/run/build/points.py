"""The grid points of a configuration's stack: a run folder each, which every tool reads as that of a single run."""

from pathlib import Path

from mbrl.conf import load_config, save_config
from mbrl.conf.schema import Config
from mbrl.conf.stack import points
from mbrl.core.errors import ConfigError
from mbrl.run.folder import prepare
from mbrl.run.records import Point


def folders(config: Config) -> list[Path]:
    """Every run folder that training writes to: `out`, and those of a stack's points."""
    return [Path(one.out) for one in (config, *(point.config for point in points(config)))]


def points_from_config(config: Config) -> list[Point]:
    """The points in the order of the stack's members, their folders made or cleared; [] without a stack.

    Raises ConfigError as `prepare` does.
    """
    flags, seeds = {"resume": config.resume, "overwrite": config.overwrite}, tuple(config.seeds)
    folders = [prepare(point.config.out, **flags) for point in points(config)]
    return [Point(folder, seeds, first=i * len(seeds)) for i, folder in enumerate(folders)]


def save_configs(config: Config) -> None:
    """Write config.yaml to the run folder, and to the folder of each point its own: single values, and no stack."""
    for one in (config, *(point.config for point in points(config))):
        save_config(Path(one.out) / "config.yaml", one)


def run_config(folder: Path) -> Config:
    """The config.yaml of a single run. Raises ConfigError for a stack of several, naming their folders."""
    config = load_config(folder / "config.yaml")
    if config.stack:
        names = ", ".join(str(folder / point.name) for point in points(config))
        raise ConfigError(f"{folder} holds the runs of a stack, in folders of their own: name one of {names}")
    return config
