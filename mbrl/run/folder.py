"""The run folder before the run: nothing is overwritten unasked, and an unwritable place is found out at once."""

import shutil
from pathlib import Path

from mbrl.core.checkpoint import exists
from mbrl.core.errors import ConfigError


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
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"out={folder} cannot be written ({error}); choose another out="
        raise ConfigError(message) from error
    return folder
