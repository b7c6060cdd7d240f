"""Studies whose cells are stacks in a world of their own, kept as one file each once they are done."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mbrl.core.progress import progress
from mbrl.study.options import digest_of, plan_of
from mbrl.study.outputs import Row, write_command, write_file, write_rows
from mbrl.study.request import Request
from mbrl.study.session import session

Train = Callable[[Any, Any, Any], Row]
"""(cell, plan, progress bar) -> the cell's row."""


def run_own_cells(
    request: Request,
    kinds: tuple[type, type],
    *,
    check: Callable[[Any, Any], Any],
    train: Train,
    draw: Callable[[Sequence[Row], Path], Path],
    title: Callable[[Any], str],
) -> list[Row]:
    """As mbrl.study.runner.Study.run; a cell that is done is <out>/cells/<study>-<digest>.json.

    kinds: dataclasses of a cell, whose fields are the axes, and of the plan, whose fields are the options. check:
    called with every cell and the plan before any work. plan.updates counts the work.
    Ctrl-C ends the study at once: finished cells and their rows are kept, the one under way starts over.
    Raises ConfigError before any work for a name that is not known or a value of the wrong type, and where another
    process is at work in `out`; KeyboardInterrupt when stopped.
    """
    cells, plan = plan_of(request, *kinds)
    for cell in cells:
        check(cell, plan)
    with session(request):
        write_command(request)
        rows: list[Row] = []
        with progress(len(cells) * plan.updates, request.study, unit="update") as bar:
            for cell in cells:
                bar.set_postfix_str(title(cell))
                rows.append(_row(request, cell, plan, train, bar))
                write_rows(request, rows)
        print(f"{request.out}/{request.study}.json, picture {draw(rows, request.out)}")
    return rows


def _row(request: Request, cell: Any, plan: Any, train: Train, bar: Any) -> Row:
    """The row of a cell: kept from an earlier start, or trained for now."""
    path = request.out / "cells" / f"{request.study}-{digest_of(cell, plan)}.json"
    if path.is_file():
        bar.update(plan.updates)
    else:
        write_file(path, train(cell, plan, bar))
    return json.loads(path.read_text())
