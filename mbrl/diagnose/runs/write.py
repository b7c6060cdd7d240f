"""A report as Markdown, CSV and one HTML page."""

import re
from collections.abc import Iterator
from pathlib import Path

from mbrl.core.files import write_output
from mbrl.diagnose import report as sheet
from mbrl.diagnose.page import document, image, table, tag
from mbrl.diagnose.runs import spreadsheet
from mbrl.diagnose.runs.pictures import bar_picture, curve_pictures
from mbrl.diagnose.runs.report import Report, headline, report_tables
from mbrl.diagnose.runs.tables import Table

NUMBER = re.compile(r"-?\d[\d.]*( [±\[/o].*)?|-")
"""A cell that is aligned as a number: also with a spread or an interval, or a dash for one."""
FEW = 50
"""Seeds that are listed one by one on a terminal."""
IN_FRONT = ("Paired", "Scores", "Over")
"""How the titles of the tables begin that come before the pictures."""


def shown(report: Report) -> str:
    """What a terminal shows: the comparison and scores, and a few seeds one by one."""
    lines = [headline(report), "", *(f"merged as told: {text}\n" for text in report.merged)]
    for part in (part for part in report_tables(report) if part.title.startswith(IN_FRONT)):
        lines += [f"{part.title}:", *_markdown_rows(part), ""]
    ended = [record for record in report.runs.records if record.dataset]
    if 0 < sum(len(record.seeds) for record in ended) <= FEW:
        lines += [sheet.markdown(ended), ""]
    return "\n".join(lines)


def markdown(report: Report) -> str:
    """The report as text: all tables, no pictures."""
    lines = [f"# {headline(report)}", "", *(f"> merged as told: {text}\n" for text in report.merged)]
    for part in report_tables(report):
        lines += [f"## {part.title}", "", *_markdown_rows(part), ""]
        lines += [part.note, ""] if part.note else []
    return "\n".join(lines)


def page(report: Report, title: str = "Report over runs") -> str:
    """The report as one HTML page: no script, nothing outside of it."""
    body = [tag("h1", title), tag("p", headline(report), "note")]
    body += [tag("p", f"Merged as told: {text}", "verdict") for text in report.merged]
    parts = report_tables(report)
    first = [part for part in parts if part.title.startswith(IN_FRONT)]
    for part in first:
        body += _section(part)
    body += _pictures(report)
    for part in parts[len(first) :]:
        body += _section(part)
    return document(title, body)


def write_report(report: Report, folder: Path | str) -> list[Path]:
    """Write report.md, report.html, scores.csv, seeds.csv and, with a comparison, comparison.csv; return the paths.

    Each file is written in one step. Raises ConfigError for one that cannot be written.
    """
    folder = Path(folder)
    sides = [("runs", report.runs), *([("against", report.against)] if report.against else [])]
    files = {
        "report.md": markdown(report),
        "report.html": page(report),
        "scores.csv": spreadsheet.scores_csv([(name, s) for name, side in sides for s in side.summaries]),
        "seeds.csv": spreadsheet.seeds_csv([(name, r) for name, side in sides for r in side.records]),
    }
    if report.comparison:
        files["comparison.csv"] = spreadsheet.comparison_csv(report.comparison)
    for name, text in files.items():
        write_output(folder / name, text)
    return [folder / name for name in files]


def _section(part: Table) -> list[str]:
    kinds = [["number" if NUMBER.fullmatch(cell) else "" for cell in row] for row in part.rows]
    notes = [tag("p", part.note, "note")] if part.note else []
    return [tag("h2", part.title), table(part.heads, part.rows, kinds), *notes]


def _pictures(report: Report) -> Iterator[str]:
    """Bars and curves of each dataset, both sides in one picture."""
    for dataset in dict.fromkeys(each.group.dataset for each in report.summaries):
        here = [each for each in report.summaries if each.group.dataset == dataset]
        yield tag("h2", dataset)
        yield image(bar_picture(here), f"{dataset}: interquartile means of returns, with intervals")
        for picture, shown in curve_pictures([each.group for each in here]):
            yield image(picture, shown)


def _markdown_rows(part: Table) -> list[str]:
    rows = [part.heads, ["---"] * len(part.heads), *part.rows]
    return [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows]


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
