"""A grid on two nodes of Ray, one of which dies under a point."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.scaling.cluster import Node, cluster
from tests.scaling.grids import TINY, TRAIN, alone, assert_same, points, start

pytest.importorskip("hydra_plugins.hydra_ray_launcher")

SEEDS = "seeds=[0],[1],[2],[3]"
LONG = ("train.updates=200", "train.eval_every=50", "train.checkpoint_every=20", SEEDS)


def test_a_grid_is_complete_and_correct_though_a_node_is_killed_under_a_point(tmp_path):
    alone(*LONG, "out=alone", folder=tmp_path)
    with cluster(["--num-cpus=1"], ["--num-cpus=1"]) as (address, environment, nodes):
        where = [
            "hydra/launcher=ray",
            f"hydra.launcher.ray.init.address={address}",
            f"+hydra.launcher.ray.init._node_ip_address={nodes[0].ip}",
        ]
        driver = start(
            TRAIN, "-m", *TINY, *LONG, "out=grid", *where, folder=tmp_path, environment=environment
        )
        try:
            name, pid = _caught_at_work(nodes[1], tmp_path / "grid", driver)
            nodes[1].kill()
            text, _ = driver.communicate(timeout=240)
        finally:
            driver.kill()
            driver.wait()
    assert driver.returncode == 0, text
    assert text.count(" finished     seeds=") == 4, text
    assert points(tmp_path / "grid") == points(tmp_path / "alone")
    assert_same(tmp_path / "grid", tmp_path / "alone")
    starts = [
        line
        for line in (tmp_path / "grid" / name / "log.txt").read_text().splitlines()
        if "# started" in line
    ]
    assert len(starts) == 2
    assert starts[0].endswith(f"process {pid}")


def _caught_at_work(node: Node, grid: Path, driver) -> tuple[str, int]:
    """A point that a process of this node is in the midst of, stopped there; and the process."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        assert driver.poll() is None, driver.communicate()[0]
        for pid, name in _work(node, grid):
            os.kill(pid, signal.SIGSTOP)
            if _begun(grid / name):
                return name, pid
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("the node was never given a point")


def _work(node: Node, grid: Path) -> list[tuple[int, str]]:
    """Processes of the node that write to a run's log at this moment, with the run's name."""
    found = []
    for pid in node.processes():
        try:
            files = [Path(os.readlink(entry)) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        found += [
            (pid, file.parent.name) for file in files if file.name == "log.txt" and file.parent.parent == grid
        ]
    return found


def _begun(run: Path) -> bool:
    """Whether a run has learnt something and kept it, and is not at its end."""
    metrics = run / "metrics.jsonl"
    kept = metrics.is_file() and metrics.read_text().count("\n") > 5 and (run / "checkpoint").is_dir()
    return kept and not (run / "result.json").exists()
