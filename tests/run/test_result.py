"""result.json: the contract's keys, returns in the order of seeds, and the table made of it."""

import json

import pytest

from mbrl.run.result import summarise, table, write_result

DATASET = {"id": "sample", "sha256": "ab", "transitions": 10}


def rows(name="eval/return", seeds=(7, 3), count=12):
    """Seed 7 returns 0, 1, .., 11; seed 3 returns 100 and then 11 falling figures."""
    series = {7: [float(i) for i in range(count)], 3: [100.0 - i for i in range(count)]}
    return [{"update": i, "seed": s, name: series[s][i]} for i in range(count) for s in seeds]


def write(folder, lines):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return write_result(folder, status="finished", updates=300, seeds=(7, 3), seconds=60.0, dataset=DATASET)


def test_last_mean_of_ten_and_best_in_the_order_of_seeds():
    # seed 7: 11, mean of 2..11 = 6.5, 11; seed 3: 89, mean of 98..89 = 93.5, 100
    expected = {"last": [11.0, 89.0], "mean_last_10": [6.5, 93.5], "best": [11.0, 100.0]}
    assert summarise(rows(), (7, 3), "eval/return") == expected
    flipped = {k: v[::-1] for k, v in expected.items()}
    assert summarise(rows(), (3, 7), "eval/return") == flipped


def test_fewer_than_ten_are_averaged_as_they_are():
    assert summarise(rows(count=3), (7,), "eval/return")["mean_last_10"] == [1.0]


def test_rows_of_other_metrics_and_nulls_are_left_out():
    lines = [
        {"update": 0, "seed": 0, "eval/return": 5.0},
        {"update": 1, "seed": 0, "critic/loss": 9.0},
        {"update": 2, "seed": 0, "eval/return": None},
    ]
    assert summarise(lines, (0,), "eval/return") == {"last": [5.0], "mean_last_10": [5.0], "best": [5.0]}


def test_a_seed_without_a_figure_is_none_and_no_figure_at_all_is_none():
    expected = {"last": [5.0, None], "mean_last_10": [5.0, None], "best": [5.0, None]}
    assert summarise([{"update": 0, "seed": 0, "eval/return": 5.0}], (0, 1), "eval/return") == expected
    assert summarise(rows(), (7, 3), "eval/normalized") is None


def test_the_file_has_the_contracts_keys(tmp_path):
    result = write(tmp_path, rows())
    assert json.loads((tmp_path / "result.json").read_text()) == result
    keys = (
        "status updates seeds return normalized seconds refresh_seconds updates_per_second versions dataset"
    )
    assert " ".join(result) == keys
    assert list(result["return"]) == ["last", "mean_last_10", "best"]
    assert list(result["versions"]) == ["python", "torch", "numpy", "gymnasium", "mujoco", "mbrl"]
    assert result["seeds"] == [7, 3]
    assert result["return"]["best"] == [11.0, 100.0]
    assert result["normalized"] is None
    assert result["updates_per_second"] == 5.0
    assert result["dataset"] == DATASET
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.jsonl", "result.json"]


def test_normalised_scores_are_there_where_they_exist(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows("eval/normalized")))
    result = write_result(tmp_path, status="finished", updates=5, seeds=(7,), seconds=0.0, dataset=DATASET)
    assert result["return"] is None
    assert result["normalized"]["last"] == [11.0]
    assert result["updates_per_second"] is None


def lost(folder, seeds, status):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows()))
    ends = {seed: {"update": 40 + seed, "diagnosis": f"seed {seed} is lost"} for seed in seeds}
    options = {"updates": 300, "seeds": (7, 3), "seconds": 60.0, "dataset": DATASET, "diverged": ends}
    return write_result(folder, status=status, **options)


def test_a_seed_that_diverged_has_no_return_and_a_reason(tmp_path):
    result = lost(tmp_path, [7], "finished")
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert result["return"] == {"last": [None, 89.0], "mean_last_10": [None, 93.5], "best": [None, 100.0]}
    assert result["diverged"] == {"7": {"update": 47, "diagnosis": "seed 7 is lost"}}
    assert "diagnosis" not in result
    text = table(result).splitlines()
    assert text[1].split() == ["7", "-", "-", "-", "-"]
    assert text[2].split()[:2] == ["3", "89.0"]
    assert text[3] == "diverged: seed 7 is lost"


def test_where_all_diverged_the_run_has_their_reasons(tmp_path):
    result = lost(tmp_path, [7, 3], "diverged")
    assert result["diagnosis"] == "seed 7 is lost; seed 3 is lost"
    assert result["return"]["last"] == [None, None]


def test_a_run_without_metrics_has_a_result_too(tmp_path):
    result = write_result(tmp_path, status="interrupted", updates=0, seeds=(0,), seconds=1.0, dataset=DATASET)
    assert (result["return"], result["normalized"]) == (None, None)


def test_the_table_has_a_line_a_seed_and_the_behaviour_below(tmp_path):
    lines = rows() + rows("eval/normalized", count=2)
    text = table(write(tmp_path, lines), behaviour=55.25)
    head, first, second, data = (line.split() for line in text.splitlines())
    assert " ".join(head) == "seed last mean of last 10 best normalized (last)"
    assert first == ["7", "11.0", "6.5", "11.0", "1.0"]
    assert second == ["3", "89.0", "93.5", "100.0", "99.0"]
    assert data == ["data", "55.2"]
    assert len({len(line) for line in text.splitlines()}) == 1


@pytest.mark.parametrize("behaviour", [None, 1.0])
def test_the_table_of_a_run_without_returns_has_dashes(tmp_path, behaviour):
    lines = table(write(tmp_path, []), behaviour).splitlines()
    assert lines[1].split() == ["7", "-", "-", "-", "-"]
    assert len(lines) == 3 + (behaviour is not None)
