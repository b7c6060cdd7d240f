"""Reports and pictures on a full or read-only disk: an error that names the file, and the old file as it was."""

import errno
import os

import gymnasium
import pytest

from mbrl.agents import AGENTS
from mbrl.bench import outputs as bench
from mbrl.bench.picture import draw
from mbrl.core import files
from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.diagnose.audit import write_audit
from mbrl.diagnose.measure import Measured
from mbrl.diagnose.plots import draw_run
from mbrl.diagnose.report import draw_comparison
from mbrl.diagnose.runs.record import read_record
from mbrl.diagnose.runs.report import make_report
from mbrl.diagnose.runs.write import write_report
from mbrl.run.export import export_policy
from mbrl.run.video import record_episode
from mbrl.study import outputs as study
from mbrl.study.pictures import draw_methods
from mbrl.study.request import Request
from tests.bench.test_outputs import row
from tests.diagnose.runs.folders import write_run
from tests.reliability.disks import file_limit, read_only
from tests.run.test_video import Lamp, One
from tests.study.rows import cell

POLICY = AGENTS["bc"](3, 2, hidden=(8,))
METHODS = [cell({"method": m, "dynamics": d}) for m in ("sac", "ravl") for d in ("learned", "true")]
WRITERS = {
    "report": (
        ["report.md", "report.html", "scores.csv", "seeds.csv"],
        lambda out: write_report(make_report([out]), out),
    ),
    "curves": (["curves.png"], lambda out: draw_comparison([read_record(out)], out / "curves.png")),
    "run": (["run.png"], draw_run),
    "audit": (
        ["audit.json", "audit.html"],
        lambda out: write_audit(out, Measured(0, False), [0], 0.99, {"run": "a"}),
    ),
    "study": (["collapse.json"], lambda out: study.write_rows(Request("collapse", "debug", out), METHODS)),
    "command": (
        ["command.txt", "collapse.meta.json"],
        lambda out: study.write_command(Request("collapse", "debug", out)),
    ),
    "methods": (["methods.png"], lambda out: draw_methods(METHODS, out / "methods.png")),
    "benchmark": (
        ["benchmark.json", "benchmark.meta.json", "benchmark.txt"],
        lambda out: bench.write_rows(out, [row()], {"scale": "debug", "runs": []}),
    ),
    "bars": (["benchmark.png"], lambda out: draw([row()], out / "benchmark.png")),
    "policy": (["policy.pt"], lambda out: export_policy(POLICY, out / "policy.pt", (3,))),
    "film": (["film.gif"], lambda out: record_episode(One(), EnvSpec("Lamp-v0"), out / "film.gif")),
}
FILES = [(kind, name) for kind, (names, _) in WRITERS.items() for name in names]


@pytest.fixture(autouse=True)
def lamp():
    gymnasium.register("Lamp-v0", entry_point=Lamp)
    yield
    del gymnasium.registry["Lamp-v0"]


@pytest.fixture
def out(tmp_path):
    """The folder of a run, where everything is written to, too."""
    return write_run(tmp_path / "a")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk(out, kind):
    (first, *_), write = WRITERS[kind]
    (out / first).write_bytes(b"old")
    before = contents(out)
    with (
        file_limit(60),
        pytest.raises(ConfigError, match=f"{out}/{first}: cannot be written.*File too large"),
    ):
        write(out)
    assert contents(out) == before


@pytest.mark.parametrize("kind", WRITERS)
def test_a_read_only_folder(out, kind, monkeypatch):
    (first, *_), write = WRITERS[kind]
    write(out)
    before = contents(out)
    with read_only(monkeypatch), pytest.raises(ConfigError, match=f"{out}/{first}: cannot.*Read-only file"):
        write(out)
    assert contents(out) == before


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_a_disk_that_is_full_by_the_time_of_a_file(out, kind, name, monkeypatch):
    write = WRITERS[kind][1]
    (out / name).write_bytes(b"old")

    def full(path):
        if path.name == f"{name}.fresh":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(files, "flush", full)
        with pytest.raises(ConfigError, match=f"{out}/{name}: cannot be written.*No space left.*make room"):
            write(out)
    assert (out / name).read_bytes() == b"old"
    assert not list(out.glob("*.fresh"))
    write(out)
    assert (out / name).read_bytes() != b"old"
