"""Runs that are killed with SIGKILL at seeded moments, resumed, and compared with one that was not.

Half of the kills come at a seeded step: of an update, a row of metrics, or of any of the steps a checkpoint takes,
with half-written files left behind. The others come by the clock while every write is slowed down.
"""

import contextlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from mbrl.core import checkpoint, files
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.log import MetricsLog, read_metrics
from mbrl.run.build import train_from_config
from mbrl.run.learning import Learning
from tests.run.stacks import small

UPDATES = 12
OPTIONS = (f"train.updates={UPDATES}", "train.checkpoint_every=2", "train.log_every=3", "train.eval_every=4")
TIMES = {"seconds", "refresh_seconds", "updates_per_second"}


class Steps:
    """Counts the steps of a run in this process, and kills it in the midst of number `fatal`."""

    def __init__(self, fatal: int, rng: random.Random, pause: float = 0.0) -> None:
        self.fatal, self.rng, self.pause, self.count = fatal, rng, pause, 0
        self.kinds: list[str] = []

    def install(self) -> None:
        """For good: a process of its own is meant."""
        self._around(checkpoint, "save_file", self._cut_file)
        self._around(Path, "write_text", self._cut_file)
        self._around(MetricsLog, "append", self._cut_rows)
        for owner, name in ((checkpoint, "flush"), (files, "flush"), (Path, "rename"), (os, "replace")):
            self._around(owner, name)
        self._around(shutil, "rmtree")
        self._around(Learning, "step")

    def _around(self, owner: Any, name: str, damage: Callable[..., None] | None = None) -> None:
        real = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            self.kinds.append(name)
            time.sleep(self.pause if name != "step" else 0)
            if self.count == self.fatal:
                if damage is not None:
                    real(*args, **kwargs)
                    damage(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(owner, name, counted)

    def _cut_file(self, first: Any, second: Any = None, *rest: Any) -> None:
        path = Path(first if isinstance(first, Path) else second)
        os.truncate(path, int(self.rng.random() * path.stat().st_size))

    def _cut_rows(self, log: MetricsLog, rows: Any) -> None:
        os.truncate(log.path, max(0, log.path.stat().st_size - self.rng.randrange(60)))


def child(folder: str, fatal: int, seed: int, pause: float) -> None:
    """Train in this process, and note which steps there were if it comes to the end."""
    steps = Steps(fatal, random.Random(seed), pause)
    steps.install()
    (Path(folder) / "began").touch()
    began = time.perf_counter()
    train(Path(folder), resume=False)
    (Path(folder) / "steps.json").write_text(json.dumps([time.perf_counter() - began, steps.kinds[:]]))


def train(folder: Path, *, resume: bool) -> None:
    """A small run to <folder>/run, on data of its own."""
    with contextlib.redirect_stdout(io.StringIO()), patch("mbrl.run.build.draw_run"):
        train_from_config(small(folder, *OPTIONS, f"resume={str(resume).lower()}"))


def state(folder: Path) -> tuple[dict[str, torch.Tensor], Any]:
    """All tensors of the final checkpoint; and its meta, metrics and result but for the time they took."""
    tree, meta = load_tree(folder / "run/checkpoint")
    result = json.loads((folder / "run/result.json").read_text())
    parts = [{k: v for k, v in part.items() if k not in TIMES} for part in (meta, result)]
    return flatten(tree), (*parts, read_metrics(folder / "run/metrics.jsonl"))


def same_end(a: Path, b: Path) -> bool:
    """Whether two runs came to the same bits."""
    (x, one), (y, two) = state(a), state(b)
    return one == two and x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


def killed_run(context: Any, folder: Path, *, fatal: int = 0, after: float = 0.0, seed: int = 0) -> bool:
    """Start a run that dies at step `fatal`, or `after` seconds; resume it. Returns whether it was killed."""
    folder.mkdir(parents=True)
    process = context.Process(target=child, args=(str(folder), fatal, seed, 0.01 if after else 0.0))
    process.start()
    while process.is_alive() and not (folder / "began").exists():
        time.sleep(0.001)
    process.join(after or 120)
    if process.is_alive():
        process.kill()
    process.join()
    train(folder, resume=True)
    return process.exitcode == -signal.SIGKILL


def forkserver() -> Any:
    """Processes that start with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.reliability.kills", "torch._dynamo"])
    return context


def harness(folder: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Counts of runs: killed, not killed in time, different at the end; and of the steps killed at."""
    context, rng, found = forkserver(), random.Random(seed), Counter[str]()
    whole = folder / "whole"
    whole.mkdir(parents=True)
    process = context.Process(target=child, args=(str(whole), 0, 0, 0.01))
    process.start()
    process.join()
    duration, kinds = json.loads((whole / "steps.json").read_text())
    for i in range(3 * kills):
        if found["killed"] == kills:
            break
        place = folder / f"killed-{i}"
        if i % 2 == 0:
            fatal = rng.randrange(1, len(kinds) + 1)
            killed = killed_run(context, place, fatal=fatal, seed=i)
            found[f"at {kinds[fatal - 1]}"] += 1
        else:
            killed = killed_run(context, place, after=rng.uniform(0.02, 0.8) * duration)
            found["by the clock"] += 1
        found["killed" if killed else "ended before"] += 1
        found["bit-equal" if same_end(place, whole) else "different"] += 1
        shutil.rmtree(place)
    return found
