"""The text of scripts/benchmark.py --help."""

from mbrl.bench.registry import PARTS
from mbrl.bench.request import REPEAT
from mbrl.bench.sizes import SCALES

USAGE = """\
usage: benchmark.py [only=[PART,...]] [KEY=VALUE ...]

Time the hot paths in every mode that this machine can run, against a naive reference in the same run, beside the
least that each can take. Writes, into out=: benchmark.json (rows), benchmark.meta.json (machine, versions,
commands), benchmark.txt (the table) and benchmark.png. Rows that out= holds already stay if not timed anew.

  only=[PART,...]   parts, or beginnings of case names: only=update, only=[update/N10-eta1,rollout]
  modes=[MODE,...]  of ours: eager, compile, graph, in float32; bf16, tf32; default: all that the device can run
  out=FOLDER        default runs/benchmark
  scale=SCALE       full (the default): published sizes; debug: tiny ones in seconds, to see that it runs
  repeat=N          rounds of timing; default {full}, at debug {debug}
  threads=N         of torch, the simulator and other libraries; default one a core
  device=DEVICE     auto (the default), cpu, cuda or cuda:N
  peers=PYTHON      an interpreter that has d3rlpy or mbrl-lib, to time them, too (docs/performance.md)

parts:
"""


def usage() -> str:
    """Options and parts."""
    assert set(REPEAT) == set(SCALES)
    lines = [f"  {name:<12}{part.about}" for name, part in PARTS.items()]
    return USAGE.format(**REPEAT) + "\n".join(lines)
