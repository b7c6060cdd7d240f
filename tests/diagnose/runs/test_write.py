"""The report as a reader has it: Markdown, CSV, and a page that stands alone, also in a browser."""

import csv
import io
import re

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from mbrl.core.errors import ConfigError, DataError, MismatchError
from mbrl.diagnose.runs import pictures
from mbrl.diagnose.runs.report import make_report
from mbrl.diagnose.runs.write import markdown, page, shown, write_report
from tests.diagnose.html import Page
from tests.diagnose.runs.browser import first_that_works
from tests.diagnose.runs.folders import change, write_run

EVIL = "<script>alert('x')</script>|&"


@pytest.fixture
def runs(tmp_path):
    """A small grid: two methods on two datasets, one of several agents, and seeds that ended in every way."""
    for dataset, agents in (("hopper", 0), ("team", 2)):
        options = {"dataset": dataset, "agents": agents, "sha": dataset[0] * 64}
        write_run(tmp_path / f"runs/{dataset}-ravl", lost=[1], **options)
        write_run(tmp_path / f"runs/{dataset}-base", eta=0.0, label="base", normalized=not agents, **options)
    write_run(tmp_path / "runs/hopper-more", seeds=[7], status="interrupted", sha="h" * 64)
    write_run(tmp_path / "runs/hopper-on", seeds=[8], status="unfinished", source="hopper")
    return tmp_path / "runs"


def tables_of(text):
    """{title: rows of cells} of a Markdown report."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        lines = [line for line in part.splitlines() if line.startswith("| ")]
        rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
        assert len({len(row) for row in rows}) == 1
        found[part.splitlines()[0]] = [rows[0], *rows[2:]]
    return found


def test_markdown_says_what_the_runs_hold(runs):
    report = make_report([runs], merge=["datasets"])
    text = markdown(report)
    assert "6 runs on hopper, team; seeds: 10 finished, 2 diverged, 1 interrupted, 1 unfinished" in text
    assert "merged as told: the dataset differs: hopper (" in text
    found = tables_of(text)
    assert list(found)[:3] == [
        "Scores: last",
        "Scores: mean of last 10",
        "Scores: best, a selection by online return",
    ]
    ravl = next(row for row in found["Scores: last"] if row[:2] == ["hopper", "ravl"])
    assert ravl[2:5] == ["3", "2 of 5", "1 diverged, 1 interrupted, 1 unfinished"]
    assert ravl[5].startswith("11.0 ± 14.1")  # seeds 0 and 2: 1 and 21
    assert ravl[7].startswith("1.10 ± 1.41")
    base = next(row for row in found["Scores: last"] if row[:2] == ["team", "base"])
    assert base[7:] == ["-", "-"]
    ends = {(row[0], row[1], row[2]) for row in found["Seeds that did not finish"][1:]}
    assert ("hopper-ravl", "1", "diverged") in ends
    assert ("hopper-on", "8", "unfinished") in ends
    settings = found["Settings that differ"]
    assert settings[0] == ["method", "agent.eta", "agent.label"]
    assert ["base", "0", "base"] in settings
    data = {row[0]: row for row in found["Data"][1:]}
    assert data["team"][5] == "2"
    assert data["hopper"][7] == "3"  # the run that goes on has not said yet
    assert len(found["Seeds"]) == 1 + 14


def test_a_methods_scores_over_datasets_need_all_of_them(runs):
    found = tables_of(markdown(make_report([runs], merge=["datasets"])))
    assert [row[:3] for row in found["Over datasets"][1:]] == [["ravl", "2", "4"]]


def test_csv_has_all_figures_at_full_precision(runs, tmp_path):
    paths = write_report(make_report([runs], merge=["datasets"]), tmp_path / "out")
    assert [p.name for p in paths] == ["report.md", "report.html", "scores.csv", "seeds.csv"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/scores.csv").read_text())))
    row = next(r for r in rows if r["dataset"] == "hopper" and r["method"] == "ravl")
    counts = [row[n] for n in ("seeds", "finished", "diverged", "interrupted", "unfinished")]
    assert counts == ["5", "2", "1", "1", "1"]
    assert float(row["return_last_std"]) == pytest.approx(200**0.5, rel=1e-15)
    assert float(row["return_best_mean"]) == 13.0
    team = next(r for r in rows if r["dataset"] == "team" and r["method"] == "base")
    assert team["normalized_last_mean"] == ""
    seeds = list(csv.DictReader(io.StringIO((tmp_path / "out/seeds.csv").read_text())))
    assert len(seeds) == 14
    lost = next(s for s in seeds if s["run"] == "hopper-ravl" and s["seed"] == "1")
    assert (lost["status"], lost["return_last"]) == ("diverged", "")


def test_the_page_is_well_formed_and_stands_alone(runs, tmp_path):
    folder = write_run(tmp_path / f"runs/{EVIL.replace('/', '')}", eta=5.0, sha="h" * 64)
    change(folder, diverged={"1": {"update": 3, "diagnosis": EVIL}}, status="diverged")
    text = page(make_report([runs], merge=["datasets"]))
    found = Page.read(text)
    assert not found.bad
    assert found.open == []
    assert "script" not in found.tags
    assert EVIL in found.text
    sources = [v for _, attributes in found.attributes for k, v in attributes.items() if k in ("src", "href")]
    assert len(sources) == 2 + 2  # bars and curves, of two datasets
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert not re.search(r"https?://|url\(|@import", text)


def test_the_same_runs_give_the_same_bytes(runs):
    first, second = (make_report([f"{runs}/hopper*"]) for _ in range(2))
    assert page(first) == page(second)
    assert plt.get_fignums() == []


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    return first_that_works(tmp_path_factory.mktemp("browser"))


def test_the_page_in_a_browser(runs, tmp_path, browser):
    against = write_run(tmp_path / "old/base", eta=-3.0, label="base", dataset="hopper", sha="h" * 64)
    report = make_report([runs], [against], merge=["datasets"])
    path = write_report(report, tmp_path / "out")[1]
    found, picture = browser.look(path, tmp_path)
    assert found["mode"] == "CSS1Compat"
    assert found["fetched"] == []
    assert not found["wide"]
    assert len(found["pictures"]) == 4
    assert all(complete and natural > 500 and drawn > 500 for complete, natural, drawn in found["pictures"])
    assert all(rows > 1 for rows in found["tables"])
    assert all(len(lengths) == 1 for lengths in found["lengths"])
    shot = matplotlib.image.imread(picture)
    assert shot.shape[:2] == (found["height"], 1200)
    bars = np.abs(shot[..., :3] - matplotlib.colors.to_rgb("#9ac2dd")).max(-1) < 0.03
    assert bars.sum() > 2000  # the bars of the first picture are on the screen
    assert (shot[..., :3].min(-1) < 0.5).any(1).mean() > 0.3  # ink in many lines


def test_the_browser_sees_what_is_wrong(tmp_path, browser):
    body = '<img src="https://example.org/a.png"><p style="width:3000px">x</p><table><tr><td><td><tr><td></table>'
    (tmp_path / "bad.html").write_text(f"<html><body>{body}</body></html>")
    found, _ = browser.look(tmp_path / "bad.html", tmp_path)
    assert found["mode"] == "BackCompat"
    assert found["fetched"] == ["https://example.org/a.png"]
    assert found["wide"]
    assert found["pictures"][0][1] == 0
    assert found["lengths"] == [[2, 1]]


def test_a_comparison_comes_first_and_its_runs_do_not_count_twice(runs, tmp_path):
    report = make_report([runs], [runs / "hopper-base", runs / "team-base"], merge=["datasets"])
    found = tables_of(markdown(report))
    assert next(iter(found)) == "Paired comparison"
    rows = found["Paired comparison"][1:]
    assert {(row[0], row[1], row[2], row[4]) for row in rows} == {
        ("hopper", "ravl", "base", "2"),
        ("team", "ravl", "base", "2"),
    }
    assert ["base (against)", "0", "base"] in found["Settings that differ"]
    names = [path.name for path in write_report(report, tmp_path / "out")]
    assert names[-1] == "comparison.csv"
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out/comparison.csv").read_text())))
    assert {line["difference"] for line in lines if line["scale"] == "return"} == {"1.0"}
    with pytest.raises(DataError, match="name others"):
        make_report([runs / "hopper-base"], [runs / "hopper-base"])


def test_different_data_are_refused(runs):
    with pytest.raises(MismatchError, match=r"hopper \(.*team \(.*--merge datasets"):
        make_report([runs])


def test_a_terminal_shows_scores_and_a_few_seeds(runs):
    text = shown(make_report([f"{runs}/hopper*"]))
    assert "Scores: last:" in text
    assert "| hopper-ravl | 1 | 9 | diverged | - | - | - | 5.0 |" in text
    assert "Settings" not in text


def test_a_folder_that_cannot_be_written(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="report.md: cannot be written.*choose another folder"):
        write_report(make_report([f"{runs}/hopper*"]), tmp_path / "file")


def figures(report):
    return [f for f, _ in pictures.curve_pictures(report.runs.groups)]


def test_curves_are_means_over_sound_seeds_with_a_band(runs):
    report = make_report([f"{runs}/hopper-[rb]*"])
    (figure,) = figures(report)
    axis = figure.axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axis.get_lines()}
    assert lines["hopper-ravl, 2 seeds"] == pytest.approx([11 * k / 4 for k in (1, 2, 3, 4)])
    band = axis.collections[[*lines].index("hopper-ravl, 2 seeds")].get_paths()[0].vertices
    for update, share in enumerate((0.25, 0.5, 0.75, 1.0)):
        found = [11 * share - share * 200**0.5, 11 * share + share * 200**0.5]
        assert np.unique(band[band[:, 0] == update, 1].round(9)) == pytest.approx(found)
    assert [a.get_ylabel() for a in figure.axes] == [
        "return in the real environment",
        "mean Q on training batches",
        "overestimate: min Q − true return",
        "overestimate, 5 model steps on",
    ]
    plt.close(figure)


def test_curves_meet_where_all_seeds_have_a_value():
    curves = [
        (np.array([0, 10, 20]), np.array([1.0, 2.0, 3.0])),
        (np.array([10, 20, 30]), np.array([5.0] * 3)),
    ]
    updates, values = pictures.together(curves)
    assert updates.tolist() == [10, 20]
    assert values.tolist() == [[2.0, 3.0], [5.0, 5.0]]
    assert pictures.together([])[0].size == 0


def test_many_methods_take_more_panels(tmp_path):
    for i in range(8):
        write_run(tmp_path / f"run{i}", eta=float(i), seeds=[0])
    found = figures(make_report([tmp_path]))
    counts = [len([t for t in f.axes[0].get_lines() if "run" in t.get_label()]) for f in found]
    assert counts == [6, 2]
    for figure in found:
        plt.close(figure)


def test_runs_without_evaluations_or_seeds_that_finished(tmp_path):
    folder = write_run(tmp_path / "a", status="interrupted")
    change(folder, **{"return": None, "normalized": None})
    (folder / "metrics.jsonl").unlink()
    found = Page.read(page(make_report([tmp_path])))
    assert not found.bad
    assert "3 interrupted" in found.text


def test_bars_are_interquartile_means_with_intervals_and_dots(runs):
    found = make_report([f"{runs}/hopper-[rb]*"])
    figure = pictures.bar_picture(found.runs.summaries)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["hopper-base", "hopper-ravl"]
    assert [(bar.get_y() + 0.35, bar.get_width()) for bar in axis.patches] == [(0.0, 9.0), (1.0, 10.0)]
    (lines,) = axis.collections
    assert [line.tolist() for line in lines.get_segments()] == [[[-1, 0], [19, 0]], [[0, 1], [20, 1]]]
    assert axis.get_lines()[0].get_xdata().tolist() == [-1, 9, 19, 0, 20]
    plt.close(figure)


def test_a_method_without_a_seed_has_no_bar_and_says_so(runs):
    figure = pictures.bar_picture(make_report([runs / "hopper-more"]).runs.summaries)
    assert not list(figure.axes[0].patches)
    plt.close(figure)
