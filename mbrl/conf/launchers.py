"""Where the points of a grid may run: the launchers we have settings for, and the packages they come in."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from traceback import walk_tb

from mbrl.conf.compose import parse
from mbrl.core.errors import ConfigError

FOLDER = Path(__file__).parent / "launcher"
"""Our settings of launchers, each laid over its package's own and under those of the command line."""
PACKAGES = {
    "ray": ("hydra-ray-launcher", "ray"),
    "ray_aws": ("hydra-ray-launcher", "ray"),
    "submitit_local": ("hydra-submitit-launcher", "slurm"),
    "submitit_slurm": ("hydra-submitit-launcher", "slurm"),
}
"""{launcher: (package it comes in, extra of ours that installs it)}."""
PRIVATE = "++hydra.sweep.mode='0700'"
"""submitit keeps pickles in the folder of Hydra's files, and whoever may change those decides what a job runs."""

ENGINES = ("ray", "submitit")


def launcher_settings(options: Sequence[str]) -> list[str]:
    """What to tell Hydra besides its `options` so that the launcher chosen there starts from our settings.

    Raises ConfigError if that launcher's package is not installed.
    """
    chosen = [o.value() for o in parse(options) if o.key_or_group == "hydra/launcher"]
    name = str(chosen[-1]) if chosen else "basic"
    if name in PACKAGES:
        _check_installed(name, *PACKAGES[name])
    return [f"+launcher@hydra.launcher={name}", PRIVATE] if (FOLDER / f"{name}.yaml").is_file() else []


def _check_installed(name: str, package: str, extra: str) -> None:
    try:
        distribution(package)
    except PackageNotFoundError as error:
        raise ConfigError(
            f"hydra/launcher={name} needs the package {package}: pip install 'offline-mbrl[{extra}]'"
        ) from error


def from_engine(error: BaseException) -> bool:
    """Whether Ray or submitit raised an error: no cluster, a job was lost. Errors of runs come back as values."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return any(name.partition(".")[0] in ENGINES for name in modules)
