"""Rerun a figure or table of the paper at a stated scale, and draw it; `--help` lists studies and their costs.

python scripts/study.py study=collapse scale=cpu out=runs/study/collapse
"""

import sys

from mbrl.conf.cli import reported_errors


def main(args: list[str]) -> None:
    """Run the study of the command line; a mistake ends in one line before any work."""
    with reported_errors():
        from mbrl.study.help import usage
        from mbrl.study.request import read_request

        if {"-h", "--help"} & set(args) or not args:
            print(usage())
            return
        request = read_request(args)
        from mbrl.study.registry import STUDIES  # after the command line is checked: this imports torch

        STUDIES[request.study].run(request)


if __name__ == "__main__":
    main(sys.argv[1:])
