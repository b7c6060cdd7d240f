"""The main job: a dataset in, a dynamics model, an agent out, evaluated in the real environment.

    python scripts/train.py dataset=d4rl/hopper-medium-v2 agent=ravl seeds=[0,1,2]

Writes the run folder `out`: config.yaml, metrics.jsonl, tensorboard/, checkpoint/, result.json and a picture.
"""

import json

from mbrl.conf.cli import run_cli
from mbrl.conf.schema import Config


def train(config: Config) -> None:
    """Train as configured; Ctrl-C saves and stops, and `resume=true` goes on from there."""
    from mbrl.run.build import train_from_config  # after the configuration is checked: this imports torch

    folder = train_from_config(config)
    if json.loads((folder / "result.json").read_text())["status"] == "interrupted":
        raise KeyboardInterrupt


if __name__ == "__main__":
    run_cli(train, about=__doc__)
