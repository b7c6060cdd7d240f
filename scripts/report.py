"""Runs on one dataset side by side: a Markdown table, and their learning curves as a picture.

python scripts/report.py runs/hopper-medium-ravl runs/hopper-medium-bc --picture curves.png
"""

import argparse
from pathlib import Path

from mbrl.conf.cli import reported_errors


def main() -> None:
    """Print the table and write the picture, if one is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs that have ended")
    parser.add_argument("--picture", type=Path, help="file for the learning curves (.png, .pdf, .svg)")
    args = parser.parse_args()
    with reported_errors():
        from mbrl.diagnose.report import draw_comparison, markdown, read_runs

        runs = read_runs(args.runs)
        print(markdown(runs))
        if args.picture:
            draw_comparison(runs, args.picture)


if __name__ == "__main__":
    main()
