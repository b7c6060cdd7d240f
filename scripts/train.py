"""The main job: a dataset in, a dynamics model, an agent out, evaluated in the real environment.

    python scripts/train.py dataset=d4rl/hopper-medium-v2 agent=ravl seeds=[0,1,2]
    python scripts/train.py -m +grid=ravl

Writes the run folder `out`: config.yaml, metrics.jsonl, tensorboard/, checkpoint/, result.json and a picture.
A grid (-m, docs/grids.md) writes one for each of its points, and goes on where an earlier start left off.
"""

import json

from mbrl.conf.cli import run_cli
from mbrl.conf.grid import GridPlan
from mbrl.conf.launch import GridTask
from mbrl.conf.schema import Config


def train(config: Config) -> None:
    """Train as configured; Ctrl-C saves and stops, and `resume=true` goes on from there."""
    from mbrl.run.build import train_from_config  # after the configuration is checked: this imports torch

    folder = train_from_config(config)
    if json.loads((folder / "result.json").read_text())["status"] == "interrupted":
        raise KeyboardInterrupt


def point(config: Config, *, wait: bool) -> str:
    """One point of a grid; how it stands afterwards."""
    from mbrl.run.build.grid import run_point

    return run_point(config, wait=wait)


def report(plan: GridPlan) -> bool:
    """How every point stands; whether any failed."""
    from mbrl.run.build.grid import report

    return report(plan)


def dry_run(plan: GridPlan) -> None:
    """The points, and what they would take; nothing is written."""
    from mbrl.run.build.estimate import dry_run

    dry_run(plan)


def ended(config: Config) -> bool:
    """Whether a point has nothing left to do."""
    from mbrl.run.build.grid import ended

    return ended(config) is not None


if __name__ == "__main__":
    run_cli(train, about=__doc__, grid=GridTask(point, report, dry_run, ended))
