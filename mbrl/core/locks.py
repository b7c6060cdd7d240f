"""One process at a time: a lock file that the system lets go of, even if the process is killed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mbrl.core.errors import CheckpointError

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing keeps two processes apart there
    fcntl = None


@contextmanager
def held(path: Path, busy: Callable[[], object]) -> Iterator[None]:
    """Hold the lock file `path`, made together with its folder; it stays behind, unlocked.

    busy: called if another process holds it. It may raise; if it returns, this waits for that process.
    Raises CheckpointError if the file cannot be written, or is on a file system without locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path, "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise CheckpointError(f"{path.parent}: cannot write a lock file to this folder ({error})") from error
    with handle:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                busy()
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                raise CheckpointError(
                    f"{path}: this file system cannot lock files ({error}); use a folder on one that can"
                ) from error
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds this lock file now; the file is neither made nor written.

    Another process's `held` may find the file busy for the moment that this takes.
    """
    if fcntl is None or not path.is_file():
        return False
    with open(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
