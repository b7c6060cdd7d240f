"""A grid by submitit: as processes here, and what would be handed to SLURM."""

import os
import re
import secrets
import signal
import stat
import subprocess
import sys

import pytest

from tests.scaling.cluster import family
from tests.scaling.grids import TINY, TRAIN, alone, assert_same, caught_at_work, finish, start, starts

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")

GRID = ("seeds=[0],[1]", "train.updates=200", "train.eval_every=50", "train.checkpoint_every=20")


def test_a_job_that_is_put_back_in_the_queue_goes_on_and_comes_to_the_same_bits(tmp_path):
    """By SIGUSR2, with which SLURM tells a job that its time is over, or that another needs its node."""
    alone(*GRID, "out=alone", folder=tmp_path)
    name, mark = "MBRL_TEST_JOB", secrets.token_hex(8)
    environment = os.environ | {"OMP_NUM_THREADS": "1", name: mark}
    options = [*TINY, *GRID, "out=grid", "hydra/launcher=submitit_local"]
    with start(TRAIN, "-m", *options, folder=tmp_path, environment=environment) as process:
        run, pid = caught_at_work(lambda: family(f"{name}={mark}"), tmp_path / "grid", process)
        os.kill(pid, signal.SIGUSR2)
        os.kill(pid, signal.SIGCONT)
        text, _ = process.communicate(timeout=240)
    assert process.returncode == 0, text
    assert_same(tmp_path / "grid", tmp_path / "alone")
    assert [len(starts(other)) for other in run.parent.glob("seeds=*") if other != run] == [1]
    assert len(starts(run)) == 2
    # submitit's pickles are for nobody but their owner.
    assert list((tmp_path / "grid/.hydra").rglob("*.pkl"))
    assert stat.S_IMODE((tmp_path / "grid/.hydra").stat().st_mode) == 0o700


SBATCH = """#!{python}
import pathlib, shutil, sys
shutil.copy(sys.argv[-1], pathlib.Path({folder!r}) / "script.sh")
print("Submitted batch job 4711")
"""
SACCT = """#!{python}
print("JobID|State|NodeList")
for i in range(2):
    print(f"4711_{{i}}|FAILED|node1")
"""


def test_what_would_be_handed_to_slurm(tmp_path):
    """A fake sbatch keeps the script; a fake sacct says that the jobs failed, so that nobody waits for them."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("sacct", SACCT), ("srun", "#!{python}\n")):
        (tools / name).write_text(text.format(python=sys.executable, folder=str(tmp_path)))
        (tools / name).chmod(0o755)
    options = [
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.partition=gpu",
        "hydra.launcher.gres=shard:1",
        "hydra.launcher.cpus_per_task=4",
        "hydra.launcher.timeout_min=90",
        "+hydra.launcher.additional_parameters={mail-user: me}",
        "hydra.launcher.array_parallelism=1",
    ]
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    code, text = finish(
        TRAIN, "-m", *TINY, *GRID, "out=grid", *options, folder=tmp_path, environment=environment
    )
    assert code == 1, text
    assert "error: UncompletedJobError: Job 4711_0" in text
    assert "Traceback" not in text
    assert text.count(" missing      seeds=") == 2, text  # how the points stand is told all the same
    script = (tmp_path / "script.sh").read_text()
    flags = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.MULTILINE))
    expected = {"partition": "gpu", "gres": "shard:1", "cpus-per-task": "4", "time": "90", "mem": "8GB"}
    assert flags | expected | {"array": "0-1%1", "mail-user": "me", "signal": "USR2@120"} == flags, script
    assert flags["output"].startswith(str(tmp_path / "grid/.hydra/.submitit"))
    assert "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK" in script
    assert "submitit.core._submit" in script
    assert subprocess.run(["bash", "-n", tmp_path / "script.sh"], check=False).returncode == 0
