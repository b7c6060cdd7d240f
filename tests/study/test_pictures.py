"""Pictures are drawn from rows alone, whatever is missing in them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mbrl.study.outputs import ending
from mbrl.study.panels import caption, column, curves, endings, lines, mean, same_scale, signed_log, spread
from mbrl.study.registry import STUDIES
from tests.study.rows import cell

ROWS = {
    "collapse": [{"method": m} for m in ("base", "ravl")],
    "ensemble": [{"num_critics": n, "eta": e} for n in (2, 10) for e in (0, 1)],
    "model_quality": [{"weight": w, "method": m} for w in (-1, 0, 1) for m in ("base", "mopo", "ravl")],
    "penalty_correlation": [{"method": m} for m in ("critics_10", "ravl")],
    "reward_error": [{"method": m} for m in ("base", "ravl")],
    "rollout_length": [
        {"dynamics": d, "method": m, "horizon": k}
        for d, m in (("true", "base"), ("true", "ravl"), ("learned", "base"))
        for k in (1, 5)
    ],
    "mamujoco": [
        {"data": "a", "learner": learner, "augmentation": kind}
        for learner in ("matd3_bc", "masac")
        for kind in ("none", "static", "coda")
    ],
    "true_dynamics": [
        *({"dynamics": d, "method": m} for d in ("learned", "true") for m in ("base", "mobile", "ravl")),
        {"dynamics": "none", "method": "edac"},
    ],
}


def rows_of(study):
    return [cell(settings, level=1.0 + i) for i, settings in enumerate(ROWS[study])]


@pytest.mark.parametrize("study", ROWS)
def test_draws_what_there_is_where_cells_diverged_or_failed(study, tmp_path):
    """A failed cell has no values at all; a diverged one has nulls; in between, all others are shown."""
    rows = rows_of(study)
    failed = {"seeds": [0, 1, 2], "dataset": rows[0]["dataset"], "status": "failed", "behaviour_return": None}
    rows[0] = {**ROWS[study][0], **failed}
    rows[1] |= {"status": "diverged", "return_mean_last_10": [None, 1.0, None], "overestimate_curve": None}
    STUDIES[study].draw(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert plt.get_fignums() == []


def test_means_leave_out_what_is_missing():
    row = {"seeds": [0, 1, 2], "x": [1.0, None, 3.0]}
    assert mean(column(row, "x"), 0) == 2.0
    assert np.isnan(mean(column(row, "y"), 0))
    figure, axis = plt.subplots()
    lines(
        axis, [{**row, "k": 2}, {**row, "k": 1, "x": [5.0, 5.0, 5.0]}], "k", "x", colour=(0, 0, 0), label="a"
    )
    *seeds, thick = axis.get_lines()
    assert len(seeds) == 3
    assert thick.get_xydata().tolist() == [[1.0, 5.0], [2.0, 2.0]]
    plt.close(figure)


def test_means_leave_out_seeds_that_diverged_unless_all_did():
    lost = {"1": {"update": 5, "diagnosis": "Q is lost"}}
    row = {"seeds": [0, 1, 2], "x": [1.0, 1e9, 3.0], "status": "finished", "diverged": lost}
    assert mean(column(row, "x"), 0) == 2.0
    figure, axis = plt.subplots()
    curves(
        axis,
        {**row, "at_update": [0, 1], "y": [[1, 2], [1e9, None], [3, 4]]},
        "y",
        colour=(0, 0, 0),
        label="a",
    )
    *seeds, thick = axis.get_lines()
    assert len(seeds) == 3
    assert thick.get_ydata().tolist() == [2, 3]
    plt.close(figure)
    everyone = {**row, "diverged": {str(seed): {} for seed in (0, 1, 2)}}
    assert mean(column(everyone, "x"), 0) == pytest.approx((4 + 1e9) / 3)


def test_a_cell_says_how_many_of_its_seeds_diverged():
    row = {"seeds": [0, 1, 2], "status": "finished", "dataset": "d"}
    some, everyone = {"1": {}}, {str(seed): {} for seed in (0, 1, 2)}
    assert [ending(row | {"diverged": lost}) for lost in ({}, some)] == [
        "finished",
        "finished, 1 of 3 seeds diverged",
    ]
    assert ending(row | {"diverged": everyone, "status": "diverged"}) == "diverged"
    assert ending(row) == "finished"  # a row of an earlier version
    figure, axis = plt.subplots()
    for place, lost in enumerate(({}, some)):
        endings(axis, row | {"diverged": lost}, place)
    assert [text.get_text() for text in axis.texts] == ["finished, 1 of 3 seeds diverged"]
    plt.close(figure)
    rows = [row | {"diverged": some}, row, row | {"diverged": everyone, "status": "diverged"}]
    text = caption(rows, "What")
    assert "1 of 3 cells diverged or failed" in text
    assert "1 seeds of other cells diverged and are left out" in text


@pytest.mark.parametrize(("largest", "scale"), [(900.0, "linear"), (1100.0, "symlog"), (np.nan, "linear")])
def test_only_large_figures_get_a_logarithmic_scale(largest, scale):
    figure, axis = plt.subplots()
    axis.plot([0, 1], [0.0, largest])
    signed_log(axis)
    assert axis.get_yscale() == scale
    plt.close(figure)


def test_marks_are_spread_around_their_place():
    assert spread(1) == [0.0]
    assert spread(3) == [-0.25, 0.0, 0.25]


def test_axes_side_by_side_show_all_that_is_drawn_in_any_of_them():
    figure, axes = plt.subplots(1, 2)
    for axis, top in zip(axes, (10.0, 2000.0), strict=True):
        axis.plot([0, 1], [-5.0, top])
        signed_log(axis)
    same_scale(axes)
    assert {axis.get_yscale() for axis in axes} == {"symlog"}
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_ylim()[1] >= 2000
    plt.close(figure)
