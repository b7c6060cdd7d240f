"""metrics.jsonl and TensorBoard: the same scalars, one row a seed, trimmed on resume."""

import json
import math
import warnings

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.log import MetricsLog, read_metrics, rows_of


def scalars(folder, tag):
    """[(step, value)] as TensorBoard itself would show them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder))
        events.Reload()
        return [(e.step, e.value) for e in events.Scalars(tag)]


def test_one_row_a_seed_and_null_for_what_is_not_finite(tmp_path):
    log = MetricsLog(tmp_path, (4, 9))
    rows = rows_of(10, {"a/x": torch.tensor([1.5, math.nan]), "a/n": torch.tensor([2, 3])}, (4, 9))
    log.append(rows)
    log.append(rows_of(20, {"b/y": torch.tensor([math.inf, -math.inf])}, (4, 9)))
    log.close()
    expected = [
        {"update": 10, "seed": 4, "a/x": 1.5, "a/n": 2.0},
        {"update": 10, "seed": 9, "a/x": None, "a/n": 3.0},
        {"update": 20, "seed": 4, "b/y": None},
        {"update": 20, "seed": 9, "b/y": None},
    ]
    assert rows == expected[:2]
    assert read_metrics(tmp_path / "metrics.jsonl") == expected
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_rows_are_on_disk_before_the_log_is_closed(tmp_path):
    log = MetricsLog(tmp_path, (0,))
    log.append(rows_of(1, {"a/x": torch.ones(1)}, (0,)))
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    log.close()


def test_values_keep_all_their_digits(tmp_path):
    log = MetricsLog(tmp_path, (0,))
    value = torch.rand(1, dtype=torch.float64)
    log.append(rows_of(1, {"a/x": value, "a/f": value.float()}, (0,)))
    log.close()
    (row,) = read_metrics(tmp_path / "metrics.jsonl")
    assert row["a/x"] == value.item()
    assert row["a/f"] == value.float().item()


def test_no_metrics_are_rows_without_figures(tmp_path):
    assert rows_of(3, {}, (0, 1)) == [{"update": 3, "seed": 0}, {"update": 3, "seed": 1}]


def test_a_row_may_be_left_out(tmp_path):
    log = MetricsLog(tmp_path, (4, 9))
    for update, kept in ((10, slice(None)), (20, slice(1, None)), (30, slice(0, 0))):
        log.append(rows_of(update, {"a/x": torch.tensor([1.0, 2.0])}, (4, 9))[kept])
    log.close()
    assert [(r["update"], r["seed"]) for r in read_metrics(tmp_path / "metrics.jsonl")] == [
        (10, 4),
        (10, 9),
        (20, 9),
    ]
    assert scalars(tmp_path / "tensorboard" / "seed_4", "a/x") == [(10, 1.0)]
    assert scalars(tmp_path / "tensorboard" / "seed_9", "a/x") == [(10, 2.0), (20, 2.0)]


def test_tensorboard_holds_the_same_finite_scalars_a_folder_a_seed(tmp_path):
    log = MetricsLog(tmp_path, (4, 9))
    log.append(rows_of(10, {"a/x": torch.tensor([1.5, math.nan])}, (4, 9)))
    log.append(rows_of(20, {"a/x": torch.tensor([2.5, 3.5])}, (4, 9)))
    log.close()
    assert scalars(tmp_path / "tensorboard" / "seed_4", "a/x") == [(10, 1.5), (20, 2.5)]
    assert scalars(tmp_path / "tensorboard" / "seed_9", "a/x") == [(20, 3.5)]


@pytest.mark.parametrize(("keep", "updates"), [(20, [10, 20, 30]), (5, [30]), (None, [30])])
def test_a_resumed_log_keeps_rows_up_to_its_checkpoint_only(tmp_path, keep, updates):
    first = MetricsLog(tmp_path, (0,))
    for update in (10, 20, 25):
        first.append(rows_of(update, {"a/x": torch.ones(1)}, (0,)))
    first.close()
    second = MetricsLog(tmp_path, (0,), keep=keep)
    second.append(rows_of(30, {"a/x": torch.ones(1)}, (0,)))
    second.close()
    assert [row["update"] for row in read_metrics(tmp_path / "metrics.jsonl")] == updates
    assert [step for step, _ in scalars(tmp_path / "tensorboard" / "seed_0", "a/x")] == updates


@pytest.mark.parametrize("tail", [b'{"update": 2, "se', b"\0" * 40, b"\xff\xfe\n", b'{"seed": 0}', b"[1]\n"])
def test_a_broken_last_line_is_left_out_and_on_resume_cut_off_with_a_message(tmp_path, tail, capsys):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1, "seed": 0}\n' + tail)
    assert read_metrics(path) == [{"update": 1, "seed": 0}]
    MetricsLog(tmp_path, (0,), keep=5).close()
    assert path.read_text() == '{"update": 1, "seed": 0}\n'
    assert f"warning: {path}:2: not a row of metrics" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense", "Expecting value"),
        (b"", "Expecting value"),
        (b'{"update": 1, "seed": 0, "a/x": "\xff"}', "can't decode"),
        (b'{"update": 1.5, "seed": 0}', "whole numbers update and seed"),
        (b'{"update": 1, "seed": 0, "a/x": [1]}', "a/x is list, not a number or null"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_broken_line_elsewhere_is_named(tmp_path, line, why):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1, "seed": 0}\n' + line + b'\n{"update": 2, "seed": 0}\n')
    with pytest.raises(ConfigError, match=rf"metrics.jsonl:2: not a row of metrics \(.*{why}"):
        read_metrics(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"metrics.jsonl:2"):
        MetricsLog(tmp_path, (0,), keep=5)
    assert path.read_bytes() == before


def test_no_file_has_no_rows(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"file/run: the run folder cannot be written.*choose another out="):
        MetricsLog(tmp_path / "file" / "run", (0,))
