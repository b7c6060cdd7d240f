"""How many points Ray puts on a GPU, seen without one: a node that is said to have one GPU."""

import json
from pathlib import Path

import pytest

from tests.scaling.cluster import cluster
from tests.scaling.grids import finish

pytest.importorskip("hydra_plugins.hydra_ray_launcher")

MEETING = str(Path(__file__).parent / "meeting.py")


def _notes(grid: Path) -> list[dict]:
    found = [json.loads(path.read_text()) for path in grid.glob("seeds=*/note.json")]
    assert len(found) == 4
    return found


def test_shares_of_a_gpu_say_how_many_points_are_on_it_at_once(tmp_path):
    with cluster(["--num-cpus=8", "--num-gpus=1"]) as (address, environment, _):

        def meet(share: float, size: int, *more: str) -> list[dict]:
            where = [
                f"hydra.launcher.ray.init.address={address}",
                f"hydra.launcher.ray.remote.num_gpus={share}",
            ]
            options = ["seeds=[0],[1],[2],[3]", f"train.updates={size}", f"out={share}", "hydra/launcher=ray"]
            code, text = finish(
                MEETING, "-m", *options, *where, *more, folder=tmp_path, environment=environment
            )
            assert code == 0, text
            return _notes(tmp_path / str(share))

        quarters = meet(0.25, 4)
        assert [note["most"] for note in quarters] == [4] * 4
        # All on the one GPU; threads by num_cpus; relative paths are meant from where the grid was started.
        expected = {"gpu": "0", "threads": "1", "folder": str(tmp_path), "wait": True}
        assert all(note | expected == note for note in quarters)
        halves = meet(0.5, 2, "hydra.launcher.ray.remote.num_cpus=2")
        assert [note["most"] for note in halves] == [2] * 4
        assert {note["threads"] for note in halves} == {"2"}
