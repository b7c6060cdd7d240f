"""What every study does around its cells: it is alone in its folder, and it stops when it is asked to."""

from collections.abc import Iterator
from contextlib import contextmanager

from mbrl.core.errors import ConfigError
from mbrl.core.locks import held
from mbrl.run.interrupt import StopRequest
from mbrl.study.request import Request

LOCK = ".lock"
"""Name of the lock file in `out`."""


@contextmanager
def session(request: Request) -> Iterator[StopRequest]:
    """Hold request.out; Ctrl-C and SIGTERM raise KeyboardInterrupt, but inside a training run, which saves first.

    The StopRequest says afterwards whether one came. An interrupt that leaves the context says how to go on.
    Raises ConfigError if another process holds the folder.
    """

    def refuse() -> None:
        raise ConfigError(
            f"out={request.out}: another process is running a study in this folder; "
            "wait until it has ended, or choose another out="
        )

    with held(request.out / LOCK, refuse), StopRequest(at_once=True) as stop:
        try:
            yield stop
        except KeyboardInterrupt:
            print(f"stopped; the same command goes on from here: {request.command()}", flush=True)
            raise
