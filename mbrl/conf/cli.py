"""From sys.argv to a task: help, checks before any work, one run or a grid of them, errors in one line."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from mbrl.conf.choices import VERSION_BASE
from mbrl.conf.compose import compose, compose_raw, open_up, parse
from mbrl.conf.grid import GridPlan, plan_grid
from mbrl.conf.launch import GridTask, launch, one_by_one
from mbrl.conf.schema import Config
from mbrl.conf.stack import GridPoint
from mbrl.conf.store import CONFIG_NAME, CONFIG_PATH
from mbrl.conf.usage import usage
from mbrl.core.errors import ConfigError, MbrlError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes: points of a grid failed; an error that the message explains; Ctrl-C, as shells count it."""


def run_cli(task: Callable[[Config], object], *, about: str, grid: GridTask | None = None) -> None:
    """Run `task` with the configuration of the command line, or `grid` with every point of a grid (-m).

    grid: what to do with many configurations; by default `task`, one after the other. Every configuration is
    checked before the first one runs. A user's mistake ends in one line on stderr and exit code 2, a grid of which
    points failed in 1, Ctrl-C in 130; anything else is a bug and shows its traceback.
    """
    parser = get_args_parser()
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_intermixed_args()
    with reported_errors():
        _check_flags(args)
        if args.help:
            print(usage(Path(sys.argv[0]).name, about, args.overrides, args.config_dir))
        elif args.cfg or args.info or args.hydra_help or args.shell_completion:
            _look(args)
        elif args.multirun or args.dry_run:
            _run_grid(args, grid or one_by_one(task))
        else:
            _check_single(args.overrides)
            config = compose(args.overrides, config_dir=args.config_dir)
            check_folder(config.out)
            task(config)


def _check_flags(args: Namespace) -> None:
    """Raise ConfigError for flags of Hydra's that would lead past our schema."""
    for name in ("config_name", "config_path", "package", "experimental_rerun"):
        if getattr(args, name, None) is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')} is not used here; --config-dir adds options of your own"
            )


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


def _check_single(overrides: Sequence[str]) -> None:
    """Raise ConfigError for what only a grid understands."""
    for override in parse(overrides):
        if override.key_or_group == "grid" or override.is_hydra_override():
            raise ConfigError(f"{override.input_line} is for grids: add -m, and --dry-run to look first")


def _run_grid(args: Namespace, task: GridTask) -> None:
    """All points, or with --dry-run a look at them; exit code 1 if any failed."""
    if args.multirun:
        plan = plan_grid(args.overrides, args.config_dir)
        check_folder(str(plan.folder))
    else:
        _check_single(args.overrides)
        config = compose(args.overrides, config_dir=args.config_dir)
        out = Path(config.out)
        plan = GridPlan("of one run", out.parent, (GridPoint(out.name, config),))
    for text in plan.dropped:
        print(f"listed twice, run once: {text}")
    if args.dry_run:
        task.dry_run(plan)
    elif launch(plan, task, args):
        raise SystemExit(FAILED)


def _look(args: Namespace) -> None:
    """Hydra's own ways of showing a configuration. Raises ConfigError for one that cannot be."""
    if args.multirun and args.cfg:
        raise ConfigError("--cfg shows one configuration; --dry-run shows the points of a grid")
    _check_single([text for text in args.overrides if not text.startswith("hydra")])
    compose_raw([text for text in args.overrides if not text.startswith("hydra")], config_dir=args.config_dir)
    argv = sys.argv
    flags = [text for text in argv[1:] if text not in args.overrides]
    sys.argv = [argv[0], *flags, *open_up(args.overrides)]
    try:
        hydra.main(version_base=VERSION_BASE, config_path=CONFIG_PATH, config_name=CONFIG_NAME)(_nothing)()
    finally:
        sys.argv = argv


def _nothing(config: DictConfig) -> None:
    """Hydra shows the configuration instead of calling this."""
