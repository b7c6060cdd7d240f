"""From sys.argv to a task: help, checks before any work, Hydra's runs and sweeps, errors in one line."""

import itertools
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from mbrl.conf.choices import VERSION_BASE
from mbrl.conf.compose import compose, compose_raw, open_up, parse, to_plain
from mbrl.conf.schema import Config
from mbrl.conf.store import CONFIG_NAME, CONFIG_PATH, register
from mbrl.conf.usage import usage
from mbrl.core.errors import ConfigError, MbrlError

BAD_INPUT, INTERRUPTED = 2, 130
"""Exit codes: an error that the message explains; Ctrl-C, as shells count it."""


def run_cli(task: Callable[[Config], object], *, about: str) -> None:
    """Run `task` with the configuration of the command line, or with each one of a sweep (-m).

    Every configuration is checked before the first one runs. A user's mistake ends in one line on stderr and
    exit code 2, Ctrl-C in 130; anything else is a bug and shows its traceback.
    """
    args = get_args_parser().parse_intermixed_args()
    with reported_errors():
        if args.help:
            print(usage(Path(sys.argv[0]).name, about, args.overrides, args.config_dir))
            return
        if args.cfg or args.info or args.hydra_help or args.shell_completion:
            compose_raw(args.overrides, config_dir=args.config_dir)
        else:
            for overrides in _jobs(args):
                check_folder(compose(overrides, config_dir=args.config_dir).out)
        with _hydra_environment(args):
            hydra.main(version_base=VERSION_BASE, config_path=CONFIG_PATH, config_name=CONFIG_NAME)(
                _job(task)
            )()


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors that a user can act on into one line and an exit code."""
    try:
        yield
    except MbrlError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from error
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from error


def check_folder(out: str) -> None:
    """Raise ConfigError if a folder `out` cannot be made: a file is in the way, or its parent is read-only."""
    place = Path(out).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise ConfigError(f"out={out}: {place} is a file, not a folder; choose another out=")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"out={out}: {place} may not be written; choose another out=")


def _job(task: Callable[[Config], object]) -> Callable[[DictConfig], None]:
    """What Hydra calls for one run; in a sweep each has a folder of its own, and a failure ends that run only."""

    def job(raw: DictConfig) -> None:
        register()  # again, since a launcher may run this in another process
        config, runtime = to_plain(raw), HydraConfig.get()
        if runtime.mode != RunMode.MULTIRUN:
            with reported_errors():
                task(config)
            return
        config.out = str(runtime.runtime.output_dir)
        print(f"# {config.out}", flush=True)
        try:
            task(config)
        except MbrlError as error:
            print(f"error in {config.out}: {error}", file=sys.stderr)
            raise

    return job


def _jobs(args: Namespace) -> list[list[str]]:
    """The overrides of every run: one, or with -m the product of all lists of values."""
    parsed = parse(args.overrides)
    if not args.multirun:
        return [args.overrides]
    # Ranges that only a sweeper plugin understands are left for that plugin to check.
    ours = [
        o
        for o in parsed
        if not o.is_hydra_override() and (o.is_discrete_sweep() or not o.is_sweep_override())
    ]
    return [list(job) for job in itertools.product(*map(_variants, ours))]


def _variants(override: Override) -> list[str]:
    """One override a value."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


@contextmanager
def _hydra_environment(args: Namespace) -> Iterator[None]:
    """What Hydra reads by itself: sys.argv with open dictionaries and a sweep's folder, and errors as raised."""
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    flags = [text for text in argv[1:] if text not in args.overrides]
    overrides = open_up(args.overrides)
    for override in parse(args.overrides):
        if args.multirun and override.key_or_group == "out":
            overrides.append(f"hydra.sweep.dir={override.get_value_element_as_str()}")
    sys.argv = [argv[0], *flags, *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full is not None:
            os.environ["HYDRA_FULL_ERROR"] = full
