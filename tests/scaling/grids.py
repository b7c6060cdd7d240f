"""Tiny grids through scripts/train.py, and what their points came to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.log import read_metrics
from tests.reliability.kills import TIMES

ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "scripts/train.py")
TINY = ("preset=debug", "agent=bc", "source=none", "device=cpu", "train.log_every=10")


def start(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """`python scripts/train.py` with these arguments in `folder`, in a process group of its own."""
    environment = dict(environment or os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def alone(*arguments: str, folder: Path) -> None:
    """The same grid in one process here, one point after the other, with as many threads as elsewhere."""
    process = start(
        TRAIN, "-m", *TINY, *arguments, folder=folder, environment=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text


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
