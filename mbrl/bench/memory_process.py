"""A short run in a process of its own, so that its largest size is nobody else's: `mbrl.bench.memory` starts it.

python -m mbrl.bench.memory_process dataset=hdf5 ...    any options of train.py; the last line is JSON
"""

import json
import resource
import sys
from pathlib import Path

import torch

from mbrl.conf import compose
from mbrl.run.build import train_from_config


def largest() -> int:
    """The most memory that this process has held so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would count what the process was before it became this program.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def main(overrides: list[str]) -> None:
    """Train as configured and print what it took; `before` is this program with nothing loaded."""
    before = largest()
    train_from_config(compose(overrides))
    cuda = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    print(json.dumps({"peak_bytes": largest(), "before_bytes": before, "cuda_bytes": cuda}))


if __name__ == "__main__":
    main(sys.argv[1:])
