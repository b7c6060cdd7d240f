"""Tables and pictures say what the run folders hold."""

import json

import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.log import read_metrics
from mbrl.diagnose import plots, report
from mbrl.diagnose.plots import draw_run, series
from mbrl.diagnose.report import draw_comparison, markdown, read_runs


def write_run(folder, *, sha="a", seeds=(0, 1), returns=((1.0, 2.0), (3.0, 5.0)), depths=3, lost=()):
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
        "return": {
            "last": [3.0, 5.0, 5.0][: len(seeds)],
            "mean_last_10": [2.0, 3.5, 4.0][: len(seeds)],
            "best": [3.0, 5.0, 5.0][: len(seeds)],
        },
        "dataset": {"id": "d", "sha256": sha, "return_mean": 4.0},
    }
    if lost:
        result["diverged"] = {str(seed): {"update": 1, "diagnosis": "not finite"} for seed in lost}
    if len(lost) == len(seeds):
        result["status"] = "diverged"
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
    rows = read_metrics(run.folder / "metrics.jsonl")
    updates, values = series(rows, "eval/return", 1)
    assert updates.tolist() == [0, 1]
    assert values.tolist() == [2.0, 5.0]
    assert series(rows, "reach/penalty_depth_1", 0)[1].size == 0


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


def shown(monkeypatch, module, draw):
    """The figure that `draw` would save and close."""
    figures = []
    monkeypatch.setattr(module.plt, "close", figures.append)
    draw()
    monkeypatch.undo()
    module.plt.close(figures[0])
    return figures[0]


def lines_of(axis):
    return {line.get_label(): list(line.get_ydata()) for line in axis.get_lines()}


THREE = {"seeds": (0, 1, 2), "returns": ((1.0, 900.0, 3.0), (3.0, 700.0, 5.0))}


def test_a_seed_that_diverged_has_a_status_of_its_own(tmp_path):
    text = markdown(read_runs([write_run(tmp_path / "a", lost=[1])]))
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    assert [r[1:4] for r in rows[3:]] == [["0", "2", "finished"], ["1", "1", "diverged"]]


def test_means_do_not_count_a_seed_that_diverged_and_the_picture_says_so(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a", lost=[1], **THREE)
    figure = shown(monkeypatch, plots, lambda: draw_run(folder))
    curves = lines_of(figure.axes[0])
    assert curves["mean"] == [2.0, 4.0]
    assert curves["seed 1, diverged"] == [900.0, 700.0]
    assert "seed 1 diverged at 1" in figure.get_suptitle()
    run = read_runs([folder])
    figure = shown(monkeypatch, report, lambda: draw_comparison(run, tmp_path / "c.png"))
    assert lines_of(figure.axes[0])["a (2 of 3 seeds)"] == [2.0, 4.0]


def test_values_by_depth_are_those_of_the_seeds_that_count(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a", lost=[1])
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {k: 1e6 for k in row if k.startswith("reach/q") and row["seed"] == 1}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    figure = shown(monkeypatch, plots, lambda: draw_run(folder))
    assert lines_of(figure.axes[1])["update 1"] == [0.0, 1.0, 2.0]


def test_a_run_of_which_no_seed_is_left_shows_what_there_was(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a", lost=[0, 1, 2], **THREE)
    figure = shown(monkeypatch, report, lambda: draw_comparison(read_runs([folder]), tmp_path / "c.png"))
    assert lines_of(figure.axes[0])["a (all diverged)"] == pytest.approx([904 / 3, 236.0])
    assert draw_run(folder).stat().st_size > 10_000


def test_the_folder_of_a_stack_stands_for_its_points_in_their_order(tmp_path):
    (tmp_path / "stack").mkdir()
    for name in ("eta=10", "eta=0"):
        write_run(tmp_path / "stack" / name)
    summary = {"status": "finished", "points": {"eta=0": "finished", "eta=10": "finished"}}
    (tmp_path / "stack/result.json").write_text(json.dumps(summary))
    runs = read_runs([tmp_path / "stack", write_run(tmp_path / "b")])
    assert [run.name for run in runs] == ["eta=0", "eta=10", "b"]
