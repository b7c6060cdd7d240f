"""Hands the points of a grid to Hydra's launcher: here one after the other, or on Ray, SLURM and others."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mbrl.conf.choices import VERSION_BASE
from mbrl.conf.compose import parse
from mbrl.conf.grid import GridPlan
from mbrl.conf.launchers import from_engine, launcher_settings
from mbrl.conf.schema import Config
from mbrl.conf.store import CONFIG_PATH, LAUNCH_NAME
from mbrl.core.errors import ConfigError, MbrlError

OWN = ".hydra"
"""Folder in that of the grid for what Hydra and its launchers write."""


class RunPoint(Protocol):
    """Runs one point and says how it ended. wait: for a process that is at it already; else the point is left."""

    def __call__(self, config: Config, *, wait: bool) -> str: ...


@dataclass(frozen=True)
class GridTask:
    """What a script does with many configurations.

    run: one of them, here or in a process elsewhere, so it has to be a plain function. report: prints how every
    point stands and returns whether any failed. dry_run: prints them and what they would take. ended: whether
    nothing is left to do for one, which then is not launched at all.
    """

    run: RunPoint
    report: Callable[[GridPlan], bool]
    dry_run: Callable[[GridPlan], None]
    ended: Callable[[Config], object] = lambda config: False


def launch(plan: GridPlan, task: GridTask, args: Namespace) -> bool:
    """Run the points and report; True if any failed or was lost. args: Hydra's, of which the launcher's are used.

    Raises ConfigError for a launcher that is not installed or cannot be made. The report is printed also where
    this ends in an error.
    """
    options = [o.input_line for o in parse(args.overrides) if o.is_hydra_override()]
    settings = launcher_settings(options)
    configs = [point.config for point in plan.points if not task.ended(point.config)]
    left = "" if len(configs) == len(plan.points) else f", {len(configs)} of them left"
    print(f"grid {plan.name}: {len(plan.points)} points in {plan.folder}{left}", flush=True)
    try:
        if options and configs:
            own = _overrides(len(configs), plan.folder, options)
            _by_hydra(configs, task.run, args, [*settings, *options, *own])
        else:
            _here(configs, task.run)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"cannot launch: {' '.join(str(error).split())}") from error
    except BaseException as error:
        task.report(plan)
        if not isinstance(error, Exception) or not from_engine(error):
            raise
        print(f"error: {type(error).__name__}: {error}\nStart it again for what is missing.", file=sys.stderr)
        return True
    return task.report(plan)


def _here(configs: Sequence[Config], run: RunPoint) -> None:
    """One after the other, as Hydra's basic launcher would, which composes anew for every job: 0.2 s a point."""
    errors = []
    for config in configs:
        try:
            run(config, wait=False)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _by_hydra(configs: Sequence[Config], run: RunPoint, args: Namespace, options: Sequence[str]) -> None:
    job = point_job(configs, run, os.getcwd())
    with _hydra_arguments(args, options):
        hydra.main(version_base=VERSION_BASE, config_path=CONFIG_PATH, config_name=LAUNCH_NAME)(job)()


def point_job(configs: Sequence[Config], run: RunPoint, start: str) -> Callable[[DictConfig], str]:
    """What Hydra calls for a point, with its number; launchers send it to other processes as it is.

    start: the folder the grid was started in, from which relative paths are meant, on other machines, too.
    """

    def job(raw: DictConfig) -> str:
        elsewhere = HydraConfig.get().runtime.choices["hydra/launcher"] != "basic"
        if elsewhere:
            os.chdir(start)
        # A run that is started again may meet its predecessor, which still ends; a second grid here goes round it.
        return run(configs[raw.point], wait=elsewhere)

    return job


def one_by_one(task: Callable[[Config], object]) -> GridTask:
    """For scripts that have no run folders: failures are shown as they happen, the first is raised at last."""

    def run(config: Config, *, wait: bool) -> str:
        print(f"# {Path(config.out).name}", flush=True)
        try:
            task(config)
        except MbrlError as error:
            print(f"error in {Path(config.out).name}: {error}", file=sys.stderr)
            raise
        return "finished"

    def show(plan: GridPlan) -> None:
        print("\n".join(point.name for point in plan.points))

    return GridTask(run, lambda plan: False, show)


def _overrides(count: int, folder: Path, given: Sequence[str]) -> list[str]:
    """One number a point, and a folder for Hydra's files beside the runs."""
    numbers = ",".join(str(i) for i in range(count))
    # Absolute: processes elsewhere make it before they are in the folder the grid was started in.
    place = str((folder / OWN).absolute()).replace("\\", "\\\\").replace("'", "\\'")
    own = [f"+point={numbers}", *([] if _has(given, "hydra.sweep.dir") else [f"hydra.sweep.dir='{place}'"])]
    # What launchers other than the built-in one say of their jobs is worth reading.
    if _has(given, "hydra/launcher") and not _has(given, "hydra/hydra_logging"):
        own.append("hydra/hydra_logging=default")
    return own


def _has(overrides: Sequence[str], key: str) -> bool:
    return any(override.key_or_group == key for override in parse(overrides))


@contextmanager
def _hydra_arguments(args: Namespace, overrides: Sequence[str]) -> Iterator[None]:
    """What Hydra reads by itself: sys.argv with these overrides instead of ours, and errors as raised."""
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *(text for text in argv[1:] if text not in args.overrides), *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full is not None:
            os.environ["HYDRA_FULL_ERROR"] = full
