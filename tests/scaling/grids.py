"""Tiny grids through scripts/train.py, and what their points came to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.log import read_metrics
from tests.reliability.kills import TIMES

ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "scripts/train.py")
TINY = ("preset=debug", "agent=bc", "source=none", "device=cpu", "train.log_every=10")


@contextmanager
def start(
    *arguments: str, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`python` with these arguments in `folder`, in a process group of its own that is killed at the end."""
    environment = dict(environment or os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def finish(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """The same to its end: exit code, and what was printed."""
    with start(*arguments, folder=folder, environment=environment) as process:
        text, _ = process.communicate(timeout=240)
    return process.returncode, text


def alone(*arguments: str, folder: Path) -> None:
    """The same grid in one process here, one point after the other, with as many threads as elsewhere."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    code, text = finish(TRAIN, "-m", *TINY, *arguments, folder=folder, environment=environment)
    assert code == 0, text


def points(grid: Path) -> list[str]:
    """Names of the run folders in a grid's folder."""
    return sorted(path.name for path in grid.iterdir() if not path.name.startswith("."))


def state(run: Path) -> tuple[dict[str, torch.Tensor], Any]:
    """All tensors of the final checkpoint; its meta, the metrics and the result but for the time they took."""
    tree, meta = load_tree(run / "checkpoint")
    result = json.loads((run / "result.json").read_text())
    assert result["status"] == "finished"
    own = [{k: v for k, v in part.items() if k not in TIMES} for part in (meta, result)]
    return flatten(tree), (*own, read_metrics(run / "metrics.jsonl"))


def assert_same(one: Path, two: Path) -> None:
    """Two grids have the same points, each with the same rows once, the same results and the same bits."""
    assert points(one) == points(two)
    for name in points(one):
        (x, left), (y, right) = state(one / name), state(two / name)
        assert left == right, name
        assert x.keys() == y.keys()
        assert all(torch.equal(x[key], y[key]) for key in x), name
        rows = [
            (row["update"], row["seed"], tuple(sorted(row)))
            for row in read_metrics(one / name / "metrics.jsonl")
        ]
        assert len(rows) == len(set(rows)), name


def starts(run: Path) -> list[str]:
    """Lines of a run's log that say when, where and by which process it was started."""
    return [line for line in (run / "log.txt").read_text().splitlines() if line.startswith("# started")]


def caught_at_work(
    processes: Callable[[], Sequence[int]], grid: Path, driver: subprocess.Popen[str], patience: float = 240.0
) -> tuple[Path, int]:
    """A run that one of the processes is in the midst of, stopped there by SIGSTOP; and that process."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        assert driver.poll() is None, driver.communicate()[0]
        for pid, run in _at_work(processes(), grid):
            os.kill(pid, signal.SIGSTOP)
            if _begun(run):
                return run, pid
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("no point was caught at work")


def _at_work(pids: Sequence[int], grid: Path) -> list[tuple[int, Path]]:
    """Those that have the log of one of the grid's runs open at this moment, with the run's folder."""
    found = []
    for pid in pids:
        try:
            files = [Path(os.readlink(entry)) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        found += [
            (pid, file.parent) for file in files if file.name == "log.txt" and file.parent.parent == grid
        ]
    return found


def _begun(run: Path) -> bool:
    """Whether a run has learnt something and kept it, and is not at its end."""
    metrics = run / "metrics.jsonl"
    kept = metrics.is_file() and metrics.read_text().count("\n") > 5 and (run / "checkpoint").is_dir()
    return kept and not (run / "result.json").exists()
