"""A grid whose points only meet: with train.updates=N, each waits until N are there at the same time."""

import json
import os
import time
from pathlib import Path

from mbrl.conf.cli import run_cli
from mbrl.conf.grid import GridPlan
from mbrl.conf.launch import GridTask
from mbrl.conf.schema import Config

PATIENCE, STAY = 120.0, 1.0
"""Seconds to wait for the others, and to stay with them and count."""


def meet(config: Config, *, wait: bool) -> str:
    """Come in, wait until train.updates points are here at once, stay a while; note how many were here at most."""
    room, own = Path(config.out).parent / "room", f"{os.getpid()}-{config.seeds[0]}"
    room.mkdir(parents=True, exist_ok=True)
    (room / own).touch()
    most, end, stay = 0, time.monotonic() + PATIENCE, None
    while time.monotonic() < (stay or end):
        most = max(most, len(list(room.iterdir())))
        if most >= config.train.updates and stay is None:
            stay = time.monotonic() + STAY
        time.sleep(0.02)
    (room / own).unlink()
    note = {
        "most": most,
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "folder": str(Path.cwd()),
        "wait": wait,
    }
    Path(config.out).mkdir()
    (Path(config.out) / "note.json").write_text(json.dumps(note))
    return "finished"


def report(plan: GridPlan) -> bool:
    """Whether a point has left no note."""
    return not all((Path(point.config.out) / "note.json").is_file() for point in plan.points)


if __name__ == "__main__":
    run_cli(lambda config: None, about="", grid=GridTask(meet, report, lambda plan: None))
