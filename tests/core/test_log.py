"""metrics.jsonl and TensorBoard: the same scalars, one row a seed, trimmed on resume."""

import json
import math
import random
import time
import warnings
import zlib
from pathlib import Path

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


@pytest.mark.usefixtures("cuda")
def test_figures_of_the_device_and_of_the_host_make_one_row():
    there = torch.tensor([1.5, 2.5], device="cuda")
    for metrics in ({"a/x": there}, {"a/x": there, "b/y": torch.tensor([3.0, 4.0])}):
        rows = rows_of(7, metrics, (4, 9))
        assert [row["a/x"] for row in rows] == [1.5, 2.5]
    assert [row["b/y"] for row in rows] == [3, 4]


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
    time.sleep(1 - time.time() % 1)  # TensorBoard orders files by the second they were begun in
    second = MetricsLog(tmp_path, (0,), keep=keep)
    second.append(rows_of(30, {"a/x": torch.ones(1)}, (0,)))
    second.close()
    assert [row["update"] for row in read_metrics(tmp_path / "metrics.jsonl")] == updates
    assert [step for step, _ in scalars(tmp_path / "tensorboard" / "seed_0", "a/x")] == updates


CUT = [b'{"update": 2, "se', b"\0" * 40, b'{"seed": 0}']
BROKEN = [b"\xff\xfe\n", b"[1]\n"]


@pytest.mark.parametrize("tail", CUT)
def test_a_last_line_that_was_cut_short_is_left_out(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1, "seed": 0}\n' + tail)
    assert read_metrics(path) == [{"update": 1, "seed": 0}]


@pytest.mark.parametrize("tail", BROKEN)
def test_a_broken_last_line_that_was_written_to_its_end_is_named(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1, "seed": 0}\n' + tail)
    with pytest.raises(ConfigError, match=r"metrics.jsonl:2: not a row.*without this line"):
        read_metrics(path)


@pytest.mark.parametrize("tail", [*CUT, *BROKEN])
def test_a_broken_last_line_is_cut_off_on_resume_with_a_message(tmp_path, tail, capsys):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1, "seed": 0}\n' + tail)
    MetricsLog(tmp_path, (0,), keep=5).close()
    assert read_metrics(path) == [{"update": 1, "seed": 0}]
    assert path.read_bytes().startswith(b'{"update": 1, "seed": 0, "crc32": ')
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


def logged(folder, **options):
    """Three rows of two seeds, as bytes and read back."""
    log = MetricsLog(folder, (0, 1), **options)
    for update in (100, 200, 300):
        values = {
            "critic/q_mean": torch.tensor([12.5, -3.0]) * update,
            "eval/return": torch.tensor([math.nan, 7]),
        }
        log.append(rows_of(update, values, (0, 1))[: 1 if update < 300 else 2])
    log.close()
    path = folder / "metrics.jsonl"
    return path, path.read_bytes(), read_metrics(path)


def test_a_row_ends_with_the_checksum_of_what_is_before_it(tmp_path):
    _, data, rows = logged(tmp_path)
    for line, row in zip(data.splitlines(), rows, strict=True):
        before = line[: line.rindex(b", ")]
        assert json.loads(line) == {**row, "crc32": zlib.crc32(before)}
        assert [*json.loads(line)][:2] == ["update", "seed"]
        assert [*json.loads(line)][-1] == "crc32"


def test_a_bad_byte_anywhere_is_found_or_harmless(tmp_path, monkeypatch):
    path, data, rows = logged(tmp_path)
    for place, byte in enumerate(data):
        number = data[:place].count(b"\n") + 1
        for bad in {byte ^ 1 << bit for bit in range(8)} | {*b'\0\n 09.e"}'} - {byte}:
            spoiled = data[:place] + bytes([bad]) + data[place + 1 :]
            monkeypatch.setattr(Path, "read_bytes", lambda _, spoiled=spoiled: spoiled)
            if place == len(data) - 1 and bad == ord(" "):  # white space at the end of the last line
                assert read_metrics(path) == rows
            else:
                with pytest.raises(ConfigError, match=f"{path}:{number}: not a row of metrics"):
                    read_metrics(path)


@pytest.mark.parametrize("seed", range(20))
def test_bad_bytes_that_destroy_the_checksum_too_are_found(tmp_path, seed):
    path, data, _ = logged(tmp_path)
    rng = random.Random(seed)
    start = rng.choice([i for i in range(len(data)) if data[i : i + 7] == b'"crc32"'])
    bad = bytearray(data)
    bad[start - 3] ^= rng.randrange(1, 16)
    bad[start + rng.randrange(1, 6)] ^= rng.randrange(1, 16)
    path.write_bytes(bad)
    with pytest.raises(ConfigError, match=r"metrics.jsonl:\d: not a row of metrics"):
        read_metrics(path)


def test_rows_of_earlier_versions_are_read_and_get_checksums_on_resume(tmp_path):
    path, data, rows = logged(tmp_path)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_metrics(path) == rows
    MetricsLog(tmp_path, (0, 1), keep=300).close()
    assert path.read_bytes() == data


def test_no_file_has_no_rows(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"file/run: the run folder cannot be written.*choose another out="):
        MetricsLog(tmp_path / "file" / "run", (0,))
