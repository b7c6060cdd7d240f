"""One point of a grid, run once however many processes try; and how the points of a grid stand."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mbrl.conf.files import digest_of
from mbrl.conf.grid import GridPlan
from mbrl.conf.schema import Config
from mbrl.core.checkpoint import exists
from mbrl.core.errors import CheckpointError, ConfigError, MbrlError
from mbrl.core.files import write_whole
from mbrl.core.locks import held, is_held
from mbrl.run.build import train_from_config
from mbrl.run.build.deaths import deaths_counted
from mbrl.run.build.points import folders
from mbrl.run.interrupt import StopRequest
from mbrl.run.result import ENDED, read_result

CLAIMS, FAILURE, LOG = ".claims", "failure.json", "log.txt"
"""In the grid's folder, a lock file a point; in a run's folder, why it failed, and what it printed."""
TRIES, PAUSE = 4, 0.05
"""A claim is tried so often, with so many seconds between: a look at the lock (is_held) is not a claim."""


class State(NamedTuple):
    """How a point stands: missing, interrupted, busy, failed, finished or diverged; and why."""

    status: str
    why: str = ""


class _Busy(Exception):
    """Another process holds the point."""


def run_point(config: Config, *, wait: bool) -> str:
    """Train a point to its end, from its checkpoint if it has one; finished, diverged, failed, or busy.

    A point that has ended is left alone, not a file of it is touched. One that another process is at is passed by
    (busy), or with `wait` waited for, and then looked at again. One that fails leaves failure.json in its folder.
    Raises KeyboardInterrupt if it was asked to stop, after saving; anything but an MbrlError once it is noted; and
    CheckpointError if the grid's folder cannot be written.
    """
    if done := ended(config):
        return done
    for _ in range(TRIES):
        try:
            with held(_claim(config), _say_waiting if wait else _pass_by):
                return ended(config) or _train(settled(config))
        except _Busy:
            time.sleep(PAUSE)
    return "busy"


def state_of(config: Config) -> State:
    """How a point stands now, from its files alone; none is written."""
    folder = Path(settled(config).out)
    if done := ended(config):
        return State(done, _diagnosis(folder))
    if is_held(_claim(config)):
        return State("busy")
    if (folder / FAILURE).is_file():
        return State("failed", _failure(folder / FAILURE))
    return State("interrupted" if exists(folder / "checkpoint") else "missing")


def report(plan: GridPlan) -> bool:
    """Print how every point stands, failures with their errors; whether any failed."""
    states = [state_of(point.config) for point in plan.points]
    print(f"grid {plan.name} in {plan.folder}:")
    for point, state in zip(plan.points, states, strict=True):
        name = Path(settled(point.config).out).name
        print(f"  {state.status:<12} {name}" + (f": {state.why}" if state.why else ""))
    kinds = [state.status for state in states]
    print(", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(sorted(kinds))), flush=True)
    return "failed" in kinds


def settled(config: Config) -> Config:
    """The same in the folder that the point already has, whatever else it was called when it was first run."""
    place = Path(config.out)
    if place.is_dir():
        return config
    same = sorted(path for path in place.parent.glob(f"*{digest_of(config)}") if path.is_dir())
    return replace(config, out=str(same[0])) if same else config


def ended(config: Config) -> str | None:
    """finished or diverged, where there is nothing left to do in any of the point's folders; else None."""
    found = [_status(folder) for folder in folders(settled(config))]
    if not all(status in ENDED for status in found):
        return None
    return "finished" if "finished" in found else "diverged"


def _status(folder: Path) -> str | None:
    """The status of a run that has come to an end; a damaged result.json is written again by the next start."""
    try:
        return read_result(folder)["status"]
    except CheckpointError:
        return None


def _claim(config: Config) -> Path:
    return Path(config.out).parent / CLAIMS / f"{digest_of(config)}.lock"


def _say_waiting() -> None:
    print("waiting for another process that is at this point", flush=True)


def _pass_by() -> None:
    raise _Busy


def _train(config: Config) -> str:
    """Under the claim: train, and note how it went."""
    folder, stop = Path(config.out), StopRequest(at_once=True)
    print(f"{folder.name}: started", flush=True)
    try:
        with stop, _logged(folder), deaths_counted(folder):
            train_from_config(replace(config, resume=True, overwrite=False))
    except Exception as error:
        if stop.requested:
            raise KeyboardInterrupt from error
        if not ended(config):
            _note(folder, error)
            print(f"{folder.name}: failed: {error}", flush=True)
            if isinstance(error, MbrlError):
                return "failed"
            raise
    done = ended(config)
    if done:
        (folder / FAILURE).unlink(missing_ok=True)
        print(f"{folder.name}: {done}", flush=True)
    if stop.requested or not done:
        raise KeyboardInterrupt
    return done


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """What is printed goes to <run>/log.txt, below a line that says when and where this start was."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / LOG).open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error}); choose another out=") from error
    with log, redirect_stdout(log):
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        print(f"# started {now} on {platform.node()}, process {os.getpid()}", flush=True)
        yield


def _note(folder: Path, error: Exception) -> None:
    """Write <run>/failure.json; where that is not possible, the error itself goes up."""
    text = json.dumps({"error": str(error), "type": type(error).__name__}, indent=1)
    try:
        write_whole(folder / FAILURE, text)
    except OSError as cause:
        raise error from cause


def _failure(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"{found['type']}: {found['error']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path} is damaged; start the grid again"


def _diagnosis(folder: Path) -> str:
    """Why a run diverged; nothing where it did not."""
    return str(read_result(folder).get("diagnosis", ""))
