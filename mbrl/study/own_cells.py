"""Studies whose cells are stacks in a world of their own, kept as one file each once they are done."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbrl.core.progress import progress
from mbrl.study.options import digest_of, plan_of
from mbrl.study.outputs import Row, write_command, write_file, write_rows
from mbrl.study.request import Request
from mbrl.study.session import session

Train = Callable[[Any, Any, Any], Row]
"""(cell, plan, progress bar) -> the cell's row."""


@dataclass(frozen=True)
class OwnCells:
    """What is particular to one such study.

    cell, plan: dataclasses; the fields of the first are the axes, those of the second the options, and plan.updates
    counts the work. check: called with every cell and the plan before any work. title: of a cell, beside the bar.
    """

    cell: type
    plan: type
    check: Callable[[Any, Any], Any]
    train: Train
    draw: Callable[[Sequence[Row], Path], Path]
    title: Callable[[Any], str]

    def run(self, request: Request) -> list[Row]:
        """As mbrl.study.runner.Study.run; a cell that is done is <out>/cells/<study>-<digest>.json.

        Ctrl-C ends the study at once: finished cells and their rows are kept, the one under way starts over.
        Raises ConfigError before any work for a name that is not known or a value of the wrong type, and where
        another process is at work in `out`; KeyboardInterrupt when stopped.
        """
        cells, plan = plan_of(request, self.cell, self.plan)
        for cell in cells:
            self.check(cell, plan)
        with session(request):
            write_command(request)
            rows: list[Row] = []
            with progress(len(cells) * plan.updates, request.study, unit="update") as bar:
                for cell in cells:
                    bar.set_postfix_str(self.title(cell))
                    rows.append(_row(request, cell, plan, self.train, bar))
                    write_rows(request, rows)
            print(f"{request.out}/{request.study}.json, picture {self.draw(rows, request.out)}")
        return rows


def _row(request: Request, cell: Any, plan: Any, train: Train, bar: Any) -> Row:
    """The row of a cell: kept from an earlier start, or trained for now."""
    path = request.out / "cells" / f"{request.study}-{digest_of(cell, plan)}.json"
    if path.is_file():
        bar.update(plan.updates)
    else:
        write_file(path, train(cell, plan, bar))
    return json.loads(path.read_text())
