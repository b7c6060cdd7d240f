"""Runs of one configuration are pooled, no seed twice, and configurations are called by what differs."""

import pytest

from mbrl.diagnose.runs.groups import differing, group_records, settings
from mbrl.diagnose.runs.record import read_record
from mbrl.diagnose.runs.summary import overall, score, summarise_group
from tests.diagnose.runs.folders import write_run


def groups(tmp_path, *runs):
    """Each run: (name, options)."""
    return group_records([read_record(write_run(tmp_path / name, **options)) for name, options in runs])


def test_seeds_of_one_configuration_are_pooled(tmp_path):
    one, two = groups(
        tmp_path,
        ("a", {"seeds": [0, 1]}),
        ("b", {"seeds": [2], "lost": [2]}),
        ("c", {"seeds": [3, 4], "status": "interrupted"}),
        ("d", {"seeds": [5], "status": "unfinished", "source": "hopper"}),
        ("e", {"seeds": [0], "eta": 7.0}),
    )
    assert [record.name for record in one.records] == ["a", "b", "c", "d"]
    assert one.size == 6
    assert [one.seeds(e) for e in ("finished", "diverged", "interrupted", "unfinished")] == [2, 1, 2, 1]
    assert one.values("return", "last") == {0: 1.0, 1: 11.0}
    assert two.values("normalized", "best") == {0: 2.7}
    assert [one.method, two.method] == ["eta=1.0", "eta=7.0"]


def test_paths_seeds_and_logging_are_no_settings(tmp_path):
    found = settings(read_record(write_run(tmp_path / "a")))
    assert found == {
        "agent.eta": 1.0,
        "agent.label": "ravl",
        "agent.name": "sac",
        "source.horizon": 5,
        "source.name": "rollout",
        "train.updates": 20,
    }


def test_a_copy_of_a_run_is_not_pooled_with_it(tmp_path):
    found = groups(tmp_path, ("a", {}), ("copy", {}), ("c", {"eta": 2.0}))
    assert [group.method for group in found] == ["a", "copy", "c"]
    assert [group.size for group in found] == [3, 3, 3]


def test_names_of_folders_where_each_is_a_method(tmp_path):
    found = groups(tmp_path, ("ravl", {}), ("edac", {"label": "edac"}))
    assert [group.method for group in found] == ["ravl", "edac"]


def test_names_by_parts_and_by_what_differs_among_those(tmp_path):
    runs = [
        (f"{label}{eta}{seed}", {"label": label, "eta": eta, "seeds": [seed]})
        for label, eta in (("ravl", 1.0), ("ravl", 2.0), ("edac", 3.0))
        for seed in (0, 1)
    ]
    assert [group.method for group in groups(tmp_path, *runs)] == ["ravl eta=1.0", "ravl eta=2.0", "edac"]


def test_a_method_has_one_name_on_all_datasets(tmp_path):
    runs = [(f"{d}{eta}", {"eta": eta, "dataset": d}) for d in ("hopper", "walker") for eta in (1.0, 2.0)]
    found = groups(tmp_path, *runs)
    assert [(g.dataset, g.method) for g in found] == [
        ("hopper", "eta=1.0"),
        ("walker", "eta=1.0"),
        ("hopper", "eta=2.0"),
        ("walker", "eta=2.0"),
    ]


def test_runs_without_a_configuration_are_themselves(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name)
        (tmp_path / name / "config.yaml").unlink()
    found = group_records([read_record(tmp_path / name) for name in ("a", "b")])
    assert [group.method for group in found] == ["a", "b"]


def test_folders_of_one_name_are_told_apart(tmp_path):
    found = groups(tmp_path, ("x/run", {}), ("y/run", {}), ("z/run", {}))
    assert len({group.method for group in found}) == 3


def test_differing_counts_what_is_missing():
    assert differing([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "c": None}]) == ["b", "c"]
    assert differing([{"a": 1}, {"a": True}]) == ["a"]
    assert differing([]) == []


def test_a_summary_by_hand(tmp_path):
    (group,) = groups(
        tmp_path, ("a", {"seeds": range(5), "returns": [0.0, 1.0, 2.0, 3.0, 100.0], "lost": []})
    )
    found = summarise_group(group).scores["return", "last"]
    assert found.seeds == 5
    assert found.mean == 21.2
    assert found.iqm == 2.0
    assert found.interval.low < 2.0 < found.interval.high
    assert score([[]]) is None
    assert score([[1.0], []]) is None


def test_over_datasets_only_what_is_complete(tmp_path):
    runs = [(f"{d}{eta}", {"eta": eta, "dataset": d}) for d in ("hopper", "walker") for eta in (1.0, 2.0)]
    found = groups(tmp_path, *runs[:3])
    (only,) = overall(found)
    assert only.method == "eta=1.0"
    assert only.datasets == 2
    assert only.scores["last"].seeds == 6
    assert only.scores["last"].mean == pytest.approx(1.1)
    assert overall(found[:1]) == []
