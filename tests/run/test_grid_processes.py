"""Eight processes on one grid folder of forty points: each point is done exactly once."""

import functools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from mbrl.conf.grid import plan_grid
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.log import read_metrics
from mbrl.dynamics import cache
from mbrl.run.build import train_from_config

pytest.importorskip("fcntl")
ROOT = Path(__file__).resolve().parents[2]
TINY = [
    *("preset=debug", "agent=bc", "source=none", "train.real_ratio=1", "device=cpu"),
    *("train.updates=2", "train.eval_episodes=1", "train.eval_max_steps=2"),
]
# Libraries are imported once, before the processes part: so all of them begin, and meet at every claim, at once.
TOGETHER = """
import os, runpy, sys
import mbrl.run.build.grid
script, processes, argv = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
begin, go = os.pipe()
children = []
for i in range(processes):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(go)
        os.read(begin, 1)  # nothing comes; it ends when the parent has started all of them
        with open(f"out-{i}.txt", "w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            sys.argv, code = [script, *argv], 0
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as stop:
                code = stop.code or 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
                code = 99
            sys.stdout.flush()
            os._exit(code)
os.close(go)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def together(folder: Path, processes: int, *argv: str) -> list[str]:
    """What each of so many processes printed, which run the same grid side by side in `folder`."""
    command = [sys.executable, "-c", TOGETHER, str(ROOT / "scripts/train.py"), str(processes), "-m", *TINY]
    done = subprocess.run([*command, *argv], cwd=folder, capture_output=True, text=True)
    printed = [(folder / f"out-{i}.txt").read_text() for i in range(processes)]
    assert done.stdout == f"{[0] * processes}\n", (done.stdout, done.stderr, printed[0])
    return printed


def test_eight_processes_do_forty_points_once_each(tmp_path: Path) -> None:
    seeds = ",".join(f"[{i}]" for i in range(40))
    printed = together(tmp_path, 8, f"seeds={seeds}", "out=grid")
    points = plan_grid([*TINY, f"seeds={seeds}", "out=grid"]).points
    runs = [tmp_path / point.config.out for point in points]
    assert len(runs) == 40
    folders = {path for path in (tmp_path / "grid").iterdir() if not path.name.startswith(".")}
    assert folders == set(runs)

    # One start a point, by its own log and by what the processes said.
    logs = [(run / "log.txt").read_text() for run in runs]
    assert [log.count("# started") for log in logs] == [1] * 40
    said = Counter(name for text in printed for name in re.findall(r"^(\S+): started$", text, re.MULTILINE))
    assert said == Counter(point.name for point in points)
    workers = Counter(re.search(r"process (\d+)$", log, re.MULTILINE).group(1) for log in logs)
    assert len(workers) >= 4, f"the work was shared: {workers}"

    # And the rows of one run each: another one in the same folder would have added its own.
    rows = [(run, row["update"], row["seed"]) for run in runs for row in read_metrics(run / "metrics.jsonl")]
    expected = [(run, update, i) for i, run in enumerate(runs) for update in (0, 2, 2)]
    assert sorted(map(str, rows)) == sorted(map(str, expected))
    for run in runs:
        assert json.loads((run / "result.json").read_text())["status"] == "finished"

    # Bit for bit what the point comes to by itself.
    alone = train_from_config(
        plan_grid([*TINY, "seeds=choice([7])", f"out={tmp_path}/alone"]).points[0].config
    )
    theirs, ours = (flatten(load_tree(run / "checkpoint")[0]) for run in (alone, runs[7]))
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_two_processes_fit_the_model_of_their_points_once(tmp_path: Path) -> None:
    """Four points over one dataset want the same model; who fits it leaves curves of the fit."""
    argv = ["agent=sac", "source=rollout", "train.real_ratio=0.5", "agent.eta=0,1,2,3", "agent.num_critics=2"]
    together(tmp_path, 2, *argv, "out=grid", "dynamics.cache=models")
    models = [path for path in (tmp_path / "models").iterdir() if path.is_dir()]
    assert len(models) == 1
    runs = [path for path in (tmp_path / "grid").iterdir() if not path.name.startswith(".")]
    assert len(runs) == 4
    assert sum((run / "tensorboard/dynamics").is_dir() for run in runs) == 1, "one of the runs fitted it"


def test_points_over_one_dataset_share_one_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, fit = [], cache.fit

    @functools.wraps(fit)
    def counted(*args: Any, **options: Any) -> Any:
        fits.append(args)
        return fit(*args, **options)

    monkeypatch.setattr(cache, "fit", counted)
    argv = ["agent=sac", "source=rollout", "train.real_ratio=0.5", f"dynamics.cache={tmp_path}/models"]
    for point in plan_grid([*TINY, *argv, "agent.eta=0,1", "source.horizon=1,2", f"out={tmp_path}/g"]).points:
        train_from_config(point.config)
    assert len(fits) == 1
