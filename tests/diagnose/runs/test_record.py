"""A run as reports read it, and what they refuse to read."""

import json

import pytest

from mbrl.core.errors import ConfigError, DataError
from mbrl.diagnose.runs.record import read_record
from tests.diagnose.runs.folders import change, write_run


def test_values_endings_and_curves(tmp_path):
    record = read_record(write_run(tmp_path / "run", returns=(4.0, 8.0, 12.0), lost=[1]))
    assert record.ended == {0: "finished", 1: "diverged", 2: "finished"}
    assert record.sound == [0, 2]
    assert [record.value("return", "best", s) for s in (0, 1, 2)] == [6.0, None, 14.0]
    assert record.value("normalized", "last", 2) == 1.2
    updates, values = record.curves["eval/return"][1]
    assert updates.tolist() == [0, 1, 2, 3]
    assert values.tolist() == [2.0, 4.0, 6.0, 8.0]
    assert "critic/loss" not in record.curves


def test_a_run_without_a_result_is_unfinished(tmp_path):
    record = read_record(write_run(tmp_path / "run", status="unfinished"))
    assert set(record.ended.values()) == {"unfinished"}
    assert record.sound == []
    assert record.value("return", "last", 0) is None
    assert len(record.curves["eval/return"]) == 3


def test_values_that_are_not_finite_are_none(tmp_path):
    folder = write_run(tmp_path / "run")
    text = (folder / "result.json").read_text().replace("21.0", "NaN")
    (folder / "result.json").write_text(text)
    assert read_record(folder).value("return", "last", 2) is None
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"update": 9, "seed": 0, "eval/return": Infinity}\n')
    assert read_record(folder).curves["eval/return"][0][0].tolist() == [0, 1, 2, 3]


def test_no_evaluations(tmp_path):
    folder = write_run(tmp_path / "run")
    change(folder, **{"return": None, "normalized": None})
    (folder / "metrics.jsonl").unlink()
    record = read_record(folder)
    assert record.value("return", "last", 0) is None
    assert record.curves == {}


THREE = {"last": [1, 2, 3], "mean_last_10": [1, 2, 3], "best": [1, 2, 3]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": None}, "seeds is None"),
        ({"seeds": []}, "seeds is"),
        ({"seeds": [0, 0]}, "different whole numbers"),
        ({"seeds": [True]}, "seeds is"),
        ({"seeds": [[0]]}, "seeds is"),
        ({"status": "fine"}, "status is 'fine', not finished"),
        ({"dataset": {"id": "a"}}, "no id and sha256"),
        ({"dataset": [1]}, "no id and sha256"),
        ({"diverged": [1]}, "diverged is not a table"),
        ({"return": [1, 2, 3]}, "return.last is not a list"),
        ({"return": THREE | {"best": [1, 2]}}, "return.best is not a list"),
        ({"normalized": THREE | {"last": [1, 2, "3"]}}, "normalized.last is not a list"),
        ({"normalized": THREE | {"last": [1, 2, 10**400]}}, "normalized.last is not a list"),
    ],
)
def test_a_result_that_breaks_the_contract(tmp_path, values, message):
    folder = write_run(tmp_path / "run")
    change(folder, **values)
    with pytest.raises(DataError, match=f"result.json: {message}|{message}"):
        read_record(folder)


def test_damaged_metrics_and_configurations(tmp_path):
    folder = write_run(tmp_path / "run")
    good = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text("[1]\n" + good)
    with pytest.raises((DataError, ConfigError), match=r"metrics.jsonl:1"):
        read_record(folder)
    huge = json.dumps({"update": 0, "seed": 0, "eval/return": 10**400})
    (folder / "metrics.jsonl").write_text(huge + "\n" + good)
    with pytest.raises(DataError, match="too large"):
        read_record(folder)
    (folder / "metrics.jsonl").write_text(good)
    for text in ("agent: [", "- 1", "\x00", "a: !!python/object/apply:os.getcwd []"):
        (folder / "config.yaml").write_text(text)
        with pytest.raises(DataError, match=r"config.yaml: not"):
            read_record(folder)
    (folder / "config.yaml").unlink()
    assert read_record(folder).config is None
    (folder / "result.json").unlink()
    with pytest.raises(DataError, match="names no seeds"):
        read_record(folder)
