"""A grid on two nodes of Ray, one of which dies under a point."""

import pytest

from tests.scaling.cluster import cluster
from tests.scaling.grids import TINY, TRAIN, alone, assert_same, caught_at_work, start, starts

pytest.importorskip("hydra_plugins.hydra_ray_launcher")

GRID = ("train.updates=200", "train.eval_every=50", "train.checkpoint_every=20", "seeds=[0],[1],[2],[3]")


def test_a_grid_is_complete_and_correct_though_a_node_is_killed_under_a_point(tmp_path):
    alone(*GRID, "out=alone", folder=tmp_path)
    with cluster(["--num-cpus=1"], ["--num-cpus=1"]) as (address, environment, nodes):
        where = [
            "hydra/launcher=ray",
            f"hydra.launcher.ray.init.address={address}",
            f"+hydra.launcher.ray.init._node_ip_address={nodes[0].ip}",
        ]
        with start(
            TRAIN, "-m", *TINY, *GRID, "out=grid", *where, folder=tmp_path, environment=environment
        ) as driver:
            run, pid = caught_at_work(nodes[1].processes, tmp_path / "grid", driver)
            nodes[1].kill()
            text, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, text
    assert text.count(" finished     seeds=") == 4, text
    assert_same(tmp_path / "grid", tmp_path / "alone")
    assert len(starts(run)) == 2
    assert starts(run)[0].endswith(f"process {pid}")
