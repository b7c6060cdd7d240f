"""The study `simple_env` as scripts/study.py starts it: cells by name, kept once they are done."""

import json
from dataclasses import dataclass
from typing import Any

from mbrl.core.progress import progress
from mbrl.study.options import digest_of, plan_of
from mbrl.study.outputs import Row, write_command, write_file, write_rows
from mbrl.study.request import Request
from mbrl.study.session import session
from mbrl.study.simple_env import train_cell
from mbrl.study.simple_env_cell import Cell, Learner, Training
from mbrl.study.simple_env_picture import draw


@dataclass(frozen=True)
class SimpleEnv:
    """Axes are the fields of Cell; options, of the scale and of the command line, are those of Training."""

    def run(self, request: Request) -> list[Row]:
        """As mbrl.study.runner.Study.run; a cell that is done is <out>/cells/simple_env-<digest>.json.

        Ctrl-C ends the study at once: finished cells and their rows are kept, the one under way starts over.
        Raises ConfigError before any work for a name that is not known or a value of the wrong type, and where
        another process is at work in `out`; KeyboardInterrupt when stopped.
        """
        cells, plan = plan_of(request, Cell, Training)
        for cell in cells:
            Learner(cell, plan)
        with session(request):
            write_command(request)
            rows: list[Row] = []
            with progress(len(cells) * plan.updates, "simple_env", unit="update") as bar:
                for cell in cells:
                    rows.append(_row(request, cell, plan, bar))
                    write_rows(request, rows)
            print(f"{request.out}/simple_env.json, picture {draw(rows, request.out)}")
        return rows


def _row(request: Request, cell: Cell, plan: Training, bar: Any) -> Row:
    """The row of a cell: kept from an earlier start, or trained for now."""
    bar.set_postfix_str(f"{cell.reward_map} {cell.method}")
    path = request.out / "cells" / f"simple_env-{digest_of(cell, plan)}.json"
    if path.is_file():
        bar.update(plan.updates)
    else:
        write_file(path, train_cell(cell, plan, bar))
    return json.loads(path.read_text())
