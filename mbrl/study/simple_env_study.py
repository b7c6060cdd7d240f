"""The study `simple_env` as scripts/study.py starts it: cells by name, kept once they are done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from mbrl.conf.compose import parse
from mbrl.conf.studies import axes_of, load_study
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.progress import progress
from mbrl.study.cells import choose, number
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
        cells, plan = plan_of(request)
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


def plan_of(request: Request) -> tuple[list[Cell], Training]:
    """The cells that the request asks for, and what they share."""
    study = load_study(request.study)
    scale = study.scales[request.scale]
    chosen = choose(scale.cells, request.only or {}, axes_of(study, request.scale))
    cells = [filled(Cell, {axis: number(value) for axis, value in values.items()}) for values in chosen]
    options = {o.key_or_group: o.value() for o in parse([*scale.overrides, *request.overrides])}
    return cells, filled(Training, options)


def filled(kind: type, values: Mapping[str, Any]) -> Any:
    """An instance of a dataclass of plain values. Raises ConfigError for an unknown field or a wrong type."""
    known = {field.name: field for field in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(unknown_name("option of study=simple_env", name, known))
        wanted = type(known[name].default) if known[name].default is not MISSING else str
        if not _fits(value, wanted):
            raise ConfigError(f"{name} must be {WORDS[wanted]}, got {value!r}")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def digest_of(cell: Cell, plan: Training) -> str:
    """Eight hex digits that stand for all settings of a cell."""
    settings = json.dumps([asdict(cell), asdict(plan)], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:8]


WORDS = {str: "a name", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list"}


def _fits(value: Any, wanted: type) -> bool:
    if wanted in (int, float) and isinstance(value, bool):
        return False
    accepted: dict[type, type | tuple[type, ...]] = {float: (int, float), tuple: list}
    return isinstance(value, accepted.get(wanted, wanted))
