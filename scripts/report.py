"""Runs side by side: tables in Markdown and CSV, and one HTML page with their learning curves.

python scripts/report.py runs/grid                                  all runs at or below a folder, or a glob
python scripts/report.py runs/new --against runs/old --out reports  two sets of runs, paired by seed
python scripts/report.py runs/hopper-medium-ravl runs/hopper-medium-bc --picture curves.png
"""

import argparse
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Print the scores, and write report.md, report.html, scores.csv and seeds.csv."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="folders of runs, of grids or stacks of them, or globs")
    parser.add_argument("--against", nargs="+", default=[], help="runs to compare them with, paired by seed")
    parser.add_argument("--out", type=Path, default=Path("runs/report"), help="folder (default runs/report)")
    parser.add_argument("--merge", nargs="+", default=[], metavar="WHAT", help="what may differ, see below")
    parser.add_argument("--picture", type=Path, help="file for the learning curves (.png, .pdf, .svg)")
    from mbrl.diagnose.runs.mixed import MERGE

    merge = "\n".join(f"  {name:<13} {text}" for name, text in MERGE.items())
    parser.epilog = f"--merge: what runs may differ in, which is refused otherwise\n{merge}"
    args = parser.parse_args()
    with reported_errors():
        from mbrl.diagnose import report as sheet
        from mbrl.diagnose.runs.report import make_report
        from mbrl.diagnose.runs.write import shown, write_report

        report = make_report(args.runs, args.against, merge=args.merge)
        print(shown(report))
        if args.picture:
            sheet.draw_comparison(report.runs.records, args.picture)
        for path in write_report(report, args.out):
            print(path)


if __name__ == "__main__":
    main()
