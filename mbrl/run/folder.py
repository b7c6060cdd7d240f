"""The run folder before the run: nothing is overwritten unasked, and an unwritable place is found out at once."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from mbrl.core.checkpoint import exists
from mbrl.core.errors import CheckpointError, ConfigError
from mbrl.core.locks import held

LOCK = ".train.lock"
"""Lock file of a run folder; it stays behind, unlocked, and a killed process leaves it so, too."""


@contextmanager
def alone(folders: Iterable[Path | str]) -> Iterator[None]:
    """Keep other processes from training in these folders.

    Raises ConfigError if one does so now, or if a folder cannot be made.
    """
    with ExitStack() as stack:
        for folder in map(Path, folders):
            try:
                stack.enter_context(held(folder / LOCK, partial(_refuse, folder)))
            except CheckpointError as error:
                raise ConfigError(f"out={folder} cannot be written ({error}); choose another out=") from error
        yield


def _refuse(folder: Path) -> None:
    raise ConfigError(
        f"out={folder}: another process is training in this folder; wait until it has ended, or choose another out="
    )


def prepare(folder: Path | str, *, resume: bool, overwrite: bool) -> Path:
    """Make the folder, or clear it. Raises ConfigError if it holds a run and neither flag says what to do."""
    folder = Path(folder)
    holds_run = exists(folder / "checkpoint") or (folder / "metrics.jsonl").exists()
    if holds_run and not (resume or overwrite):
        raise ConfigError(
            f"out={folder} already holds a run: add resume=true to continue it, overwrite=true to replace it, "
            "or choose another out="
        )
    try:
        if overwrite and not resume and holds_run:
            _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"out={folder} cannot be written ({error}); choose another out="
        raise ConfigError(message) from error
    return folder


def _clear(folder: Path) -> None:
    """Remove all but the lock file, which keeps others out meanwhile."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
