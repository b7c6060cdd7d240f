"""A report over runs, and against others: read, checked, summed up."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mbrl.core.errors import DataError
from mbrl.diagnose.runs import tables
from mbrl.diagnose.runs.compare import Comparison, compare
from mbrl.diagnose.runs.find import find_runs
from mbrl.diagnose.runs.groups import Group, group_records
from mbrl.diagnose.runs.mixed import check_mergeable
from mbrl.diagnose.runs.record import FIGURES, Record, read_record
from mbrl.diagnose.runs.summary import Overall, Summary, overall, summarise_group
from mbrl.diagnose.runs.tables import Table

Places = Sequence[Path | str]


@dataclass(frozen=True)
class Side:
    """A set of runs: each, the groups they make, and what those came to."""

    records: list[Record]
    groups: list[Group]
    summaries: list[Summary]
    overall: list[Overall]


@dataclass(frozen=True)
class Report:
    """What `runs` came to, and `against` if asked for. merged: what differs among them and was merged as told."""

    runs: Side
    against: Side | None
    comparison: Comparison | None
    merged: list[str]

    @property
    def summaries(self) -> list[Summary]:
        """Those of both sides; methods of `against` say so."""
        marked = []
        for found in self.against.summaries if self.against else ():
            group = replace(found.group, method=f"{found.group.method} (against)")
            marked.append(replace(found, group=group))
        return [*self.runs.summaries, *marked]

    @property
    def records(self) -> list[Record]:
        """Those of both sides."""
        return [*self.runs.records, *(self.against.records if self.against else ())]


def make_report(runs: Places, against: Places = (), *, merge: Collection[str] = ()) -> Report:
    """Read all runs at or below these places (folders or globs).

    merge: what may differ among them, names of mbrl.diagnose.runs.mixed.MERGE. A run of `against` does not count
    among `runs`, so that these may be the whole folder. Raises DataError for folders that hold no runs or damaged
    ones, and MismatchError, ConfigError as `check_mergeable` and `compare` do.
    """
    theirs = find_runs(against) if against else []
    known = {folder.resolve() for folder in theirs}
    ours = [folder for folder in find_runs(runs) if folder.resolve() not in known]
    if not ours:
        raise DataError("all of the runs are among those to compare them against; name others")
    records = [read_record(folder) for folder in ours], [read_record(folder) for folder in theirs]
    merged = check_mergeable([*records[0], *records[1]], merge)
    first = _side(records[0])
    second = _side(records[1]) if theirs else None
    found = compare(first.groups, second.groups) if second else None
    return Report(first, second, found, merged)


def _side(records: list[Record]) -> Side:
    groups = sorted(group_records(records), key=lambda group: group.dataset)
    return Side(records, groups, [summarise_group(group) for group in groups], overall(groups))


def report_tables(report: Report) -> list[Table]:
    """All tables, in the order in which a reader needs them."""
    found = [tables.comparison(report.comparison)] if report.comparison else []
    for side, name in ((report.runs, ""), (report.against, " (against)")):
        if side is not None:
            for figure, label in (FIGURES | {"best": "best, a selection by online return"}).items():
                note = "" if name or figure != "last" else tables.NOTE  # once is enough
                found.append(tables.scores(side.summaries, figure, f"Scores{name}: {label}", note))
            if side.overall:
                part = tables.over_datasets(side.overall)
                found.append(part._replace(title=part.title + name))
    records, groups = report.records, [found.group for found in report.summaries]
    rest = [tables.failures(records), tables.settings(groups), tables.data(records), tables.seeds(records)]
    return found + [part for part in rest if part.rows]


def headline(report: Report) -> str:
    """How many runs, seeds and datasets, and how the seeds ended."""
    records = report.records
    ends = [end for record in records for end in record.ended.values()]
    counts = ", ".join(f"{ends.count(end)} {end}" for end in tables.ENDINGS if end in ends)
    datasets = list(dict.fromkeys(found.group.dataset for found in report.summaries))
    named = ", ".join(datasets) if len(datasets) <= 4 else f"{len(datasets)} datasets"
    return f"{len(records)} runs on {named}; seeds: {counts}"
