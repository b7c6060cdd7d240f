"""The study `simple_env` as scripts/study.py starts it: cells by name, kept once they are done."""

from dataclasses import dataclass

from mbrl.study.outputs import Row
from mbrl.study.own_cells import run_own_cells
from mbrl.study.request import Request
from mbrl.study.simple_env import train_cell
from mbrl.study.simple_env_cell import Cell, Learner, Training
from mbrl.study.simple_env_picture import draw


@dataclass(frozen=True)
class SimpleEnv:
    """Axes are the fields of Cell; options, of the scale and of the command line, are those of Training."""

    def run(self, request: Request) -> list[Row]:
        """As `run_own_cells`."""
        return run_own_cells(
            request,
            (Cell, Training),
            check=Learner,
            train=train_cell,
            draw=draw,
            title=lambda cell: f"{cell.reward_map} {cell.method}",
        )
