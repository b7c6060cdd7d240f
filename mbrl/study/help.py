"""The text of scripts/study.py --help."""

import textwrap

from mbrl.conf.studies import ANY, axes_of, load_study, study_names
from mbrl.study.request import text

USAGE = """\
usage: study.py study=NAME [scale=debug|cpu|paper] [out=FOLDER] [cells.AXIS=[VALUE,...]] [KEY=VALUE ...]

Rerun a figure or table of the paper at a stated scale. Writes, into out= (default runs/study/NAME-SCALE):
NAME.json, a list with one row a cell (settings, seeds, values), NAME.png, its picture, NAME.meta.json
and command.txt. Started again with the same out=, it goes on where it stopped: finished cells are kept.

  scale=             debug (the default): seconds, to see that it runs; cpu: minutes; paper: published sizes
  cells.AXIS=[...]   only these values of an axis of the study, e.g. cells.method=[base,ravl]
  KEY=VALUE          any option of train.py, for every cell: dataset.source=my.hdf5 seeds=[0,1,2] device=cuda
"""


def usage() -> str:
    """Every study: what it shows, what it varies, and what each scale costs."""
    return "\n".join([USAGE, "studies:", *(_described(name) for name in study_names())])


def _described(name: str) -> str:
    study = load_study(name)
    lines = [f"  {name}: {study.about}"]
    values = axes_of(study, "paper")
    for axis, known in values.items():
        names = [text(v) for v in known if v != ANY] + (["any value"] if ANY in known else [])
        lines.append(
            textwrap.fill(
                f"cells.{axis}: {', '.join(names)}", 100, initial_indent=" " * 6, subsequent_indent=" " * 10
            )
        )
    lines += [f"      scale={scale}: {conf.cost}" for scale, conf in study.scales.items()]
    return "\n".join(lines)
