"""The files of a benchmark."""

import json
import math

import pytest
import torch

from mbrl.bench.outputs import (
    about,
    machine,
    merged,
    read_before,
    seconds,
    table,
    with_run,
    write_rows,
)
from mbrl.bench.picture import colours, columns, draw, panels
from mbrl.bench.request import read_request
from mbrl.bench.setup import Setup
from mbrl.bench.sizes import SCALES
from mbrl.core.errors import DataError

CPU = torch.device("cpu")


def row(case="update/a", mode="eager", device="cpu", **values):
    timing = {"median_s": 0.04, "floor_s": 0.02, "spread": 0.1, "items": 2, "unit": "update"}
    ratios = {"per_second": 50.0, "times_naive": 2.0}
    return {"case": case, "device": device, "mode": mode, **timing, **ratios, **values}


def size(case="memory/rows5-N2", **values):
    timing = {"median_s": None, "floor_s": None, "spread": None}
    bytes_ = {"peak_bytes": 3 << 30, "floor_bytes": 1 << 30, "cuda_bytes": 0}
    return {"case": case, "device": "cpu", "mode": "eager", **timing, **bytes_, **values}


def test_new_rows_replace_those_of_their_case_and_device():
    order = ["update/a", "update/b", "memory/x"]
    before = [row("memory/x"), row("update/a", "naive"), row("update/a", device="cuda"), row("update/gone")]
    after = merged(before, [row("update/b"), row("update/a", "graph")], order)
    assert [(r["case"], r["device"], r["mode"]) for r in after] == [
        ("update/a", "cpu", "graph"),
        ("update/a", "cuda", "eager"),
        ("update/b", "cpu", "eager"),
        ("memory/x", "cpu", "eager"),
    ]


def test_meta_says_which_run_a_case_is_from():
    def run(name, device, *cases):
        return {"command": name, "device": device, "cases": list(cases)}

    meta = {"scale": "full", "runs": []}
    for one in (run("1", "cpu", "a", "b"), run("2", "cuda", "a"), run("3", "cpu", "b"), run("4", "cpu", "a")):
        meta = with_run(meta, one)
    assert meta["runs"] == [run("2", "cuda", "a"), run("3", "cpu", "b"), run("4", "cpu", "a")]


def test_what_is_written_is_read_again(tmp_path):
    request = read_request([f"out={tmp_path}", "scale=debug"])
    assert read_before(request) == ([], {"scale": "debug", "runs": []})
    setup = Setup(SCALES["debug"], CPU, threads=1, rounds=2)
    meta = with_run({"scale": "debug", "runs": []}, about(request, setup, ["update/a"]))
    rows = [row(spread=math.nan), size()]
    write_rows(tmp_path, rows, meta)
    assert read_before(request) == ([row(spread=None), size()], meta)
    (run,) = meta["runs"]
    assert (run["cases"], run["threads"], run["peers"]) == (["update/a"], 1, None)
    assert {"python", "torch", "mujoco"} <= run["versions"].keys()
    assert machine(CPU)["cores"] >= 1
    assert (tmp_path / "benchmark.json").read_text().count("\n") == 2  # a row a line
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "benchmark.json",
        "benchmark.meta.json",
        "benchmark.txt",
    ]


@pytest.mark.parametrize("content", ["[]", "{}", '{"scale": ', "5"])
def test_a_folder_with_something_else_is_refused(tmp_path, content):
    (tmp_path / "benchmark.json").write_text("[]")
    (tmp_path / "benchmark.meta.json").write_text(content)
    with pytest.raises(DataError, match="not a benchmark's"):
        read_before(read_request([f"out={tmp_path}"]))


def test_rows_without_their_meta_are_refused(tmp_path):
    (tmp_path / "benchmark.json").write_text("[]")
    with pytest.raises(DataError, match="not a benchmark's"):
        read_before(read_request([f"out={tmp_path}"]))


def test_scales_are_not_mixed(tmp_path):
    write_rows(tmp_path, [], {"scale": "debug", "runs": []})
    with pytest.raises(DataError, match="holds a benchmark at scale=debug; choose another out= for full"):
        read_before(read_request([f"out={tmp_path}"]))


def test_the_table_has_a_line_a_row():
    lines = table([row(), row(mode="other", times_naive=None, floor_s=None, per_second=12345.6), size()])
    head, ours, other, memory = (" ".join(line.split()) for line in lines.splitlines())
    assert head == "case device mode median spread floor x floor x naive per second"
    assert ours == "update/a cpu eager 40 ms 10% 20 ms 2.0 2.00 50.00 update"
    assert other == "update/a cpu other 40 ms 10% - - - 12,346 update"
    assert memory == "memory/rows5-N2 cpu eager 3.00 GiB 1.00 GiB 3.0"
    assert table([size(cuda_bytes=1 << 29)]).endswith("0.50 GiB cuda")


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "2.5 s"), (0.0381, "38.1 ms"), (4.12e-6, "4.12 us"), (3e-9, "0.003 us"), (1.0, "1 s")],
)
def test_durations_in_the_unit_that_suits_them(value, text):
    assert seconds(value) == text


def test_a_picture_of_every_kind_of_row(tmp_path):
    rows = [row(), row(mode="naive"), row(mode="d3rlpy", times_naive=None, floor_s=None), size()]
    draw(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    draw([row()], tmp_path / "one.png")


def test_panels_fill_two_columns_in_order():
    rows = [row(f"update/{i}") for i in range(9)] + [row("buffer/a"), row("rollout/a", device="cuda"), size()]
    found = panels(rows)
    assert [title.split(":")[0] for title, _ in found] == ["update", "buffer", "rollout", "memory"]
    left, right = columns(found)
    assert (len(left), len(right)) == (1, 3)
    assert columns(found[:1]) == (found[:1], [])


def test_every_mode_has_a_colour_of_its_own():
    modes = ["eager", "eager bf16", "naive", "d3rlpy", "mbrl-lib"]
    palette = colours([row(mode=mode) for mode in modes])
    assert list(palette) == modes
    assert len(set(palette.values())) == 5


def test_json_has_no_nan(tmp_path):
    write_rows(tmp_path, [row(spread=math.inf)], {"scale": "full", "runs": []})
    (found,) = json.loads((tmp_path / "benchmark.json").read_text())
    assert found["spread"] is None
