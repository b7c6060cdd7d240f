"""Runs the cells of a study, one after the other, and picks up where an earlier start left off."""

import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

from mbrl.conf.studies import load_study
from mbrl.core.device import pick_device
from mbrl.core.errors import MbrlError
from mbrl.core.progress import duration
from mbrl.run.build import dataset_from_config, train_from_config
from mbrl.run.build.model import true_dynamics
from mbrl.run.interrupt import StopRequest
from mbrl.run.result import ENDED
from mbrl.study.audits import Audit, audited
from mbrl.study.cells import Cell, plan
from mbrl.study.outputs import Row, ending, write_command, write_rows
from mbrl.study.request import Request
from mbrl.study.session import session
from mbrl.study.values import Values, final_values, read_result

SIMULATED = ("mujoco", "interpolated")
"""Dynamics that need the environment's simulator."""

Measure = Callable[[Path, Sequence[int]], Values]
"""(run folder, seeds) -> values to add to the cell's row."""


@dataclass(frozen=True)
class Study:
    """What is particular to one study of training runs: what it reads off cells that ended, and its picture.

    measures: of run folders; audit: of the cells' reach audits, which are made where there is one.
    """

    measures: Sequence[Measure]
    draw: Callable[[Sequence[Row], Path], None]
    audit: Callable[[Audit], Values] | None = None

    def run(self, request: Request) -> list[Row]:
        """All cells, then the picture. Rows, one a cell, are on disk as soon as their cell has ended.

        A cell that diverges, or fails otherwise, is recorded with its diagnosis, and the others go on. Raises
        ConfigError before any work where a cell cannot be configured, its data cannot be read or its simulator is
        not known, or another process is at work in `out`; KeyboardInterrupt when stopped, after the cell under way
        is recorded as interrupted; and at the end, if cells failed for another reason than divergence, the error
        of the first of them (the same command tries them again).
        """
        cells = plan(request)
        check(cells)
        with session(request) as stop:
            write_command(request)
            rows, failures = self._rows(request, cells, stop)
            path = request.out / f"{request.study}.json"
            self.draw(rows, path.with_suffix(".png"))
            print(f"{path}, picture {path.with_suffix('.png')}")
            if stop.requested:
                raise KeyboardInterrupt
        if failures:
            cell, error = failures[0]
            raise type(error)(f"{len(failures)} of {len(cells)} cells failed, {cell.name} with: {error}")
        return rows

    def _rows(
        self, request: Request, cells: Sequence[Cell], stop: StopRequest
    ) -> tuple[list[Row], list[tuple[Cell, MbrlError]]]:
        """A row a cell, up to the one in which a stop was asked for, and what failed other than by divergence."""
        rows: list[Row] = []
        failures: list[tuple[Cell, MbrlError]] = []
        clock = Clock(len(cells))
        for cell in cells:
            clock.announce(cell)
            try:
                failure = clock.timed(lambda c=cell: attempt(c, stop))
                row, failure = self._row(request, cell, failure)
            except KeyboardInterrupt:
                # Asked for in another way than by a signal, too.
                stop.requested = True
                row, failure = ended(request, cell) | {"status": "interrupted"}, None
            rows.append(row)
            failures += [(cell, failure)] if failure else []
            write_rows(request, rows)
            clock.report(row)
            if stop.requested:
                break
        return rows, failures

    def _row(self, request: Request, cell: Cell, failure: MbrlError | None) -> tuple[Row, MbrlError | None]:
        """Settings, seeds and values of a cell that has ended, and what went wrong other than divergence."""
        row = ended(request, cell)
        try:
            if row["status"] in ENDED:
                row |= self._measured(request, cell)
        except MbrlError as error:
            failure = error
        if row["status"] == "diverged":
            return row, None
        if failure is not None:
            row |= {"status": "failed", "diagnosis": str(failure)}
        return row, failure

    def _measured(self, request: Request, cell: Cell) -> Values:
        """What this study in particular reads off a cell."""
        values: Values = {}
        for measure in self.measures:
            values |= measure(cell.folder, cell.config.seeds)
        if self.audit is not None:
            conf = load_study(request.study).scales[request.scale].audit
            values |= self.audit(audited(cell.folder, cell.config.device, conf))
        return values


def check(cells: Sequence[Cell]) -> None:
    """Load every dataset, and make every simulator, that the cells need; raises what that raises."""
    for config in {str(cell.config.dataset): cell.config for cell in cells}.values():
        mine = [c.config for c in cells if c.config.dataset == config.dataset]
        with redirect_stdout(StringIO()):
            dataset = dataset_from_config(config)
        if any(c.train.bias_states or c.edge.name == "oracle" or c.dynamics.name in SIMULATED for c in mine):
            true_dynamics(dataset, pick_device(config.device))


def ended(request: Request, cell: Cell) -> Row:
    """Settings and seeds of a cell, and how its run ended, as far as it came."""
    row: Row = {**cell.settings, "seeds": list(cell.config.seeds)}
    row |= final_values(cell.folder, cell.config.seeds)
    row["dataset"] = row["dataset"] or cell.config.dataset.source
    row["run"] = str(cell.folder.relative_to(request.out))
    return row


def attempt(cell: Cell, stop: StopRequest) -> MbrlError | None:
    """Train a cell to its end, from its checkpoint if it has one; the error that ended it otherwise, if any.

    Raises KeyboardInterrupt if the run was stopped, or a stop was asked for in what proved to be its last update.
    """
    done = read_result(cell.folder)
    if done is not None and done["status"] in ENDED:
        return None
    cell.folder.mkdir(parents=True, exist_ok=True)
    try:
        with (cell.folder / "log.txt").open("a") as log, redirect_stdout(log):
            train_from_config(replace(cell.config, resume=True, overwrite=False))
    except MbrlError as error:
        if not stop.requested:
            return error
    if stop.requested or read_result(cell.folder)["status"] == "interrupted":
        raise KeyboardInterrupt
    return None


class Clock:
    """Says which cell is under way, how it ended, and how long the rest will take."""

    def __init__(self, cells: int) -> None:
        self.cells, self.begun, self.seconds = cells, 0, []

    def announce(self, cell: Cell) -> None:
        """One line before a cell, with the time left going by the cells that were run so far."""
        self.begun += 1
        left = ""
        if self.seconds:
            mean = sum(self.seconds) / len(self.seconds)
            left = f", about {duration(mean * (self.cells - self.begun + 1))} left"
        print(f"cell {self.begun} of {self.cells}: {cell.name}{left}", flush=True)

    def timed(self, work: Callable[[], MbrlError | None]) -> MbrlError | None:
        """Do the work, and remember how long it took unless it was done before."""
        began = time.perf_counter()
        outcome = work()
        spent = time.perf_counter() - began
        if spent > 0.1:
            self.seconds.append(spent)
        return outcome

    def report(self, row: Row) -> None:
        """One line after a cell."""
        returns = " ".join("-" if r is None else f"{r:.0f}" for r in row.get("return_last") or [])
        note = f": {row['diagnosis']}" if row.get("diagnosis") else ""
        print(f"  {ending(row)}, last returns {returns or '-'}{note}", flush=True)
