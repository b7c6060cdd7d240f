"""Tables and pictures say what the run folders hold."""

import json

import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.diagnose.plots import draw_run, series
from mbrl.diagnose.report import draw_comparison, markdown, read_runs


def write_run(folder, *, sha="a", seeds=(0, 1), returns=((1.0, 2.0), (3.0, 5.0)), depths=3):
    folder.mkdir()
    rows = []
    for update, values in enumerate(returns):
        for seed, value in zip(seeds, values, strict=True):
            reach = {f"reach/q_depth_{d}": float(d) for d in range(depths)}
            reach |= {f"reach/penalty_depth_{d}": None for d in range(depths)}
            rows += [{"update": update, "seed": seed, "critic/q_mean": 1.0, **reach}]
            rows += [{"update": update, "seed": seed, "eval/return": value}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = {
        "status": "finished",
        "updates": 2,
        "seeds": list(seeds),
        "updates_per_second": 10.0,
        "return": {"last": [3.0, 5.0], "mean_last_10": [2.0, 3.5], "best": [3.0, 5.0]},
        "dataset": {"id": "d", "sha256": sha, "return_mean": 4.0},
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_table_has_a_row_a_seed_and_the_behaviour(tmp_path):
    text = markdown(read_runs([write_run(tmp_path / "a"), write_run(tmp_path / "b")]))
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    assert rows[2][:5] == ["behaviour", "", "", "", "4"]
    assert [r[:2] for r in rows[3:]] == [["a", "0"], ["a", "1"], ["b", "0"], ["b", "1"]]
    assert rows[4][4:7] == ["5", "4", "5"]


def test_different_data_are_not_merged(tmp_path):
    with pytest.raises(MismatchError, match="different data"):
        read_runs([write_run(tmp_path / "a"), write_run(tmp_path / "b", sha="b")])


def test_a_folder_without_result(tmp_path):
    with pytest.raises(DataError, match="no result.json"):
        read_runs([tmp_path])


def test_series_leaves_out_what_is_missing(tmp_path):
    (run,) = read_runs([write_run(tmp_path / "a")])
    updates, values = series(run.rows, "eval/return", 1)
    assert updates.tolist() == [0, 1]
    assert values.tolist() == [2.0, 5.0]
    assert series(run.rows, "reach/penalty_depth_1", 0)[1].size == 0


def test_pictures_are_drawn(tmp_path):
    folder = write_run(tmp_path / "a")
    assert draw_run(folder).stat().st_size > 10_000
    draw_comparison(read_runs([folder]), tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_no_metrics_to_draw(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "metrics.jsonl").write_text("")
    with pytest.raises(DataError, match="no metrics"):
        draw_run(folder)
