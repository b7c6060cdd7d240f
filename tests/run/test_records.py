"""Rows, checkpoints and results of a stack go to the folders of its points, each as that of a run by itself."""

import json

import pytest
import torch

from mbrl.core.checkpoint import exists, flatten, load_tree
from mbrl.core.log import read_metrics, rows_of
from mbrl.run.records import Point, Records

ENDS = {1: {"update": 4, "diagnosis": "b"}, 2: {"update": 3, "diagnosis": "c"}}
FIGURES = {"updates": 9, "seconds": 3.0, "dataset": {"id": "d"}}


@pytest.fixture
def records(tmp_path):
    """Three points: two seeds, one seed, two seeds."""
    points = [
        Point(tmp_path / "a", (7, 5)),
        Point(tmp_path / "b", (7,), first=2),
        Point(tmp_path / "c", (7, 5), first=3),
    ]
    found = Records(tmp_path, points)
    found.open(keep=None)
    yield found
    found.close()


def tree():
    own = {"w": torch.arange(10.0).view(5, 2), "step": torch.tensor(3.0), "shared": torch.arange(4.0)}
    return {"agent": own, "streams": {"state": torch.arange(5)}, "sums": {}}


def meta(ends=ENDS):
    frozen = {"frozen": {str(place): end for place, end in ends.items()}} if ends else {}
    return {"update": 9, "seeds": [7, 5, 7, 7, 5], "dataset": {}, **frozen}


def test_a_point_gets_its_members_slices_and_all_that_is_shared(records):
    share, own = records.points[2].cut(tree(), meta({}), 5)
    assert share["agent"]["w"].tolist() == [[6, 7], [8, 9]]
    assert share["streams"]["state"].tolist() == [3, 4]
    assert share["agent"]["step"].item() == 3
    assert share["agent"]["shared"].tolist() == [0, 1, 2, 3]
    assert own == {"update": 9, "seeds": [7, 5], "dataset": {}}


def test_a_point_counts_its_frozen_members_from_its_own_first(records):
    shares = [point.cut(tree(), meta(), 5)[1].get("frozen") for point in records.points]
    assert shares == [{"1": ENDS[1]}, {"0": ENDS[2]}, None]
    assert [list(point.places) for point in records.points] == [[0, 1], [2], [3, 4]]


def test_the_whole_and_every_share_are_saved_but_of_a_point_that_is_lost(records, tmp_path):
    records.save("checkpoint", tree(), meta({}))
    records.save("checkpoint", {**tree(), "agent": {"w": -tree()["agent"]["w"]}}, meta())
    whole, kept = (flatten(load_tree(folder / "checkpoint")[0]) for folder in (tmp_path, tmp_path / "b"))
    assert whole["agent/w"][1].tolist() == [-2, -3]
    assert kept["agent/w"].tolist() == [[4, 5]]  # as it was before its only member was frozen
    assert flatten(load_tree(tmp_path / "a/checkpoint")[0])["agent/w"].tolist() == [[0, -1], [-2, -3]]
    assert load_tree(tmp_path / "a/checkpoint")[1]["frozen"] == {"1": ENDS[1]}


@pytest.mark.parametrize(("of", "expected"), [([3], "c"), ([0, 2], "ab"), ([], "")])
def test_only_the_points_of_some_members_may_be_saved(records, tmp_path, of, expected):
    records.save("checkpoint-diverged", tree(), meta({}), of)
    assert exists(tmp_path / "checkpoint-diverged")
    assert "".join(name for name in "abc" if exists(tmp_path / name / "checkpoint-diverged")) == expected


def test_each_row_goes_to_its_point_and_those_of_frozen_members_nowhere(records, tmp_path):
    records.append(rows_of(2, {"x": torch.arange(5.0)}, (7, 5, 7, 7, 5)), without={1, 2})
    found = {
        name: [(r["seed"], r["x"]) for r in read_metrics(tmp_path / name / "metrics.jsonl")] for name in "abc"
    }
    assert found == {"a": [(7, 0.0)], "b": [], "c": [(7, 3.0), (5, 4.0)]}


def test_results_are_each_points_own_and_the_whole_has_a_summary(records, tmp_path):
    summary = records.conclude("finished", ENDS, **FIGURES)
    assert summary == json.loads((tmp_path / "result.json").read_text())
    assert summary["points"] == {"a": "finished", "b": "diverged", "c": "finished"}
    assert (summary["status"], summary["updates"], summary["updates_per_second"]) == ("finished", 9, 3.0)
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in "abc"]
    assert [r["updates"] for r in results] == [9, 3, 9]
    assert [r.get("diverged") for r in results] == [{"5": ENDS[1]}, {"7": ENDS[2]}, None]
    assert [r.get("diagnosis") for r in results] == [None, "c", None]
    assert [r["seeds"] for r in results] == [[7, 5], [7], [7, 5]]


def test_reasons_name_their_point(records):
    assert records.diagnosis(ENDS) == "a, b; b, c"
    assert records.named(4, "x") == "c, x"


def test_results_of_an_earlier_part_are_removed_from_every_folder(records, tmp_path):
    records.conclude("interrupted", {}, **FIGURES)
    records.close()
    records.open(keep=0)
    assert list(tmp_path.rglob("result.json")) == []


def test_a_run_by_itself_is_its_only_point(tmp_path):
    single = Records(tmp_path, [Point(tmp_path, (7, 5))])
    single.open(keep=None)
    single.save("checkpoint", tree(), meta({}))
    result = single.conclude("finished", {1: ENDS[1]}, **FIGURES)
    single.close()
    assert result["seeds"] == [7, 5]
    assert result["diverged"] == {"5": ENDS[1]}
    assert single.named(1, "x") == single.diagnosis({0: {"diagnosis": "x"}, 1: {"diagnosis": "x"}}) == "x"
    assert torch.equal(load_tree(tmp_path / "checkpoint")[0]["agent"]["w"], tree()["agent"]["w"])
