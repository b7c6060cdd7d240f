"""Counterparts are found by settings, and differences are paired by seed."""

import pytest

from mbrl.core.errors import MismatchError
from mbrl.diagnose.runs.compare import compare
from mbrl.diagnose.runs.groups import group_records
from mbrl.diagnose.runs.record import read_record
from tests.diagnose.runs.folders import write_run


def groups(tmp_path, *runs):
    return group_records([read_record(write_run(tmp_path / name, **options)) for name, options in runs])


def test_differences_by_hand(tmp_path):
    ours = groups(tmp_path, ("new", {"seeds": [2, 0, 1, 3], "returns": [5.0, 1.0, 9.0, 50.0], "lost": [3]}))
    theirs = groups(tmp_path, ("old", {"seeds": [0, 1, 2, 4], "returns": [2.0, 4.0, 5.0, 0.0]}))
    found = compare(ours, theirs).differences
    assert [(d.scale, d.figure) for d in found[:3]] == [
        ("return", "last"),
        ("return", "mean_last_10"),
        ("return", "best"),
    ]
    last = found[0]  # seeds 0, 1, 2: 1 against 2, 9 against 4, 5 against 5
    assert (last.pairs, last.won) == (3, 1)
    assert (last.mean, last.mean_against) == (5.0, pytest.approx(11 / 3))
    assert last.difference == pytest.approx(4 / 3)
    assert last.interval == (-1.0, 5.0)
    assert last.probability == pytest.approx((0 + 0 + 0 + 3 + 1 * 2 + 0.5) / 9)
    assert found[3].difference == pytest.approx(4 / 30)


def test_everything_against_one_baseline(tmp_path):
    ours = groups(tmp_path, ("a", {"eta": 1.0}), ("b", {"eta": 2.0}))
    theirs = groups(tmp_path, ("base", {"label": "base", "eta": 0.0}))
    found = compare(ours, theirs)
    assert [(d.method, d.difference) for d in found.differences if d.figure == "last"][::2] == [
        ("a", 1.0),
        ("b", 2.0),
    ]
    assert found.unmatched == []


def grid(tmp_path, label, eta, horizons, **options):
    runs = [(f"{label}-{h}", {"label": label, "eta": eta, "horizon": h, **options}) for h in horizons]
    return groups(tmp_path, *runs)


def test_sides_that_differ_throughout_are_matched_by_the_rest(tmp_path):
    found = compare(grid(tmp_path, "ravl", 3.0, (1, 5, 10)), grid(tmp_path, "base", 0.0, (5, 1, 20)))
    pairs = {(d.method, d.against) for d in found.differences}
    assert pairs == {("ravl-1", "base-1"), ("ravl-5", "base-5")}
    assert found.unmatched == ["ravl-10", "base-20"]
    assert {d.difference for d in found.differences if d.scale == "return"} == {3.0}


def test_equal_settings_are_matched(tmp_path):
    old, new = grid(tmp_path / "old", "ravl", 1.0, (1, 5)), grid(tmp_path / "new", "ravl", 1.0, (1, 5))
    found = compare(new, old)
    assert [d.method == d.against for d in found.differences] == [True] * 12


def test_several_counterparts_are_none(tmp_path):
    ours = grid(tmp_path, "ravl", 3.0, (1, 5))
    theirs = groups(
        tmp_path,
        ("x", {"label": "base", "eta": 0.0, "horizon": 1}),
        ("y", {"label": "base", "eta": 1.0, "horizon": 1}),
        ("z", {"label": "base", "eta": 0.0, "horizon": 5}),
    )
    found = compare(ours, theirs)
    assert {(d.method, d.against) for d in found.differences} == {("ravl-5", "z")}
    assert found.unmatched == ["ravl-1", "x", "y"]


def test_over_all_datasets_the_normalised_differences(tmp_path):
    options = [("h", {"dataset": "hopper"}), ("w", {"dataset": "walker", "seeds": [0, 1]})]
    ours = groups(tmp_path / "a", *[(n, o | {"eta": 4.0}) for n, o in options])
    theirs = groups(tmp_path / "b", *[(n, o | {"eta": 2.0}) for n, o in options])
    found = [d for d in compare(ours, theirs).differences if d.dataset == "all datasets"]
    assert [(d.scale, d.figure, d.pairs) for d in found] == [
        ("normalized", "last", 5),
        ("normalized", "mean_last_10", 5),
        ("normalized", "best", 5),
    ]
    assert found[0].difference == pytest.approx(0.2)
    assert found[0].interval.low == pytest.approx(0.2)


def test_pairs_without_a_seed_that_finished_are_named(tmp_path):
    ours = groups(tmp_path, ("a", {"eta": 1.0}), ("b", {"eta": 2.0, "status": "interrupted"}))
    found = compare(ours, groups(tmp_path, ("base", {"eta": 0.0})))
    assert found.unfinished == ["b and base"]


def test_nothing_in_common(tmp_path):
    ours, theirs = grid(tmp_path, "ravl", 1.0, (1, 2)), grid(tmp_path, "base", 0.0, (2, 1), dataset="walker")
    with pytest.raises(MismatchError, match=r"differ in .*agent.label"):
        compare(ours, theirs)
