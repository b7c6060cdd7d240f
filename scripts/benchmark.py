"""Time the hot paths against a naive reference and the machine's own limit; `--help` lists parts and options.

python scripts/benchmark.py only=update out=runs/benchmark
"""

import sys

from mbrl.conf.cli import reported_errors


def main(args: list[str]) -> None:
    """Run the benchmark of the command line; a mistake ends in one line before any work."""
    with reported_errors():
        from mbrl.bench.help import usage
        from mbrl.bench.request import read_request

        if {"-h", "--help"} & set(args):
            print(usage())
            return
        request = read_request(args)
        from mbrl.bench.runner import run  # after the command line is checked: this imports torch

        run(request)


if __name__ == "__main__":
    main(sys.argv[1:])
