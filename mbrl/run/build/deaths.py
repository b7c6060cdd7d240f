"""A point whose process dies again and again without getting further: a failed point, which nobody else can tell.

A process that is killed from outside leaves no error. Ray and SLURM then start it again, which is right where the
node has gone, and never ends where the run itself needs more memory than there is.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mbrl.core.errors import ConfigError, MbrlError
from mbrl.core.files import write_whole

STARTS, MOST = ".starts.json", 4
"""File in the run's folder while a start is under way; how many of them may die at the same checkpoint."""


@contextmanager
def deaths_counted(folder: Path) -> Iterator[None]:
    """Around one start of the run in `folder`. One that ends in any way but by a kill counts as no death.

    Raises MbrlError, instead of starting, if `MOST` starts in a row have died where the last checkpoint still is
    (the count begins anew then), and ConfigError if the folder cannot be written.
    """
    path, reached = folder / STARTS, _reached(folder)
    died = _died(path, reached)
    try:
        if died >= MOST:
            path.unlink()
            raise MbrlError(
                f"its process was killed {died} times without reaching another checkpoint: out of memory? "
                "Lower train.checkpoint_every if the nodes themselves go away"
            )
        write_whole(path, json.dumps({"checkpoint": reached, "starts": died + 1}))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error}); choose another out=") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _reached(folder: Path) -> str:
    """What differs from one checkpoint to the next."""
    sums = folder / "checkpoint" / "sha256sums"
    return sums.read_text(encoding="utf-8", errors="replace") if sums.is_file() else ""


def _died(path: Path, reached: str) -> int:
    """How many starts in a row left their file behind at this checkpoint; a damaged file counts as none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return int(found["starts"]) if found["checkpoint"] == reached else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
