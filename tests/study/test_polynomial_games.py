"""Polynomial games: what a cell measures, and the study as scripts/study.py starts it."""

import json
from dataclasses import fields, replace

import pytest
import torch

from mbrl.conf.studies import load_study
from mbrl.core.errors import ConfigError
from mbrl.dynamics.games.data import sample_actions
from mbrl.dynamics.games.game import make_game
from mbrl.run.experience import MixedData
from mbrl.study.polynomial_games import joint_action, train_cell
from mbrl.study.polynomial_games_cell import AUGMENTATIONS, Cell, Learner, Training, start_actions
from mbrl.study.polynomial_games_measure import BOX, density, way, wilson
from mbrl.study.polynomial_games_picture import draw, telling
from mbrl.study.registry import STUDIES
from mbrl.study.request import Request

TINY = Training(
    seeds=(0, 1, 2),
    updates=6,
    eval_every=3,
    rows=300,
    batch_size=8,
    draws=8,
    sampler_steps=3,
    diffusion_updates=5,
    diffusion_width=16,
    diffusion_depth=1,
)


def rows_of(data, count=10_000):
    return sample_actions(data, count, 2, 0).double()


@pytest.mark.parametrize(
    ("game", "data", "covered"),
    [
        ("sign_agreement", "uniform", True),
        ("sign_agreement", "mixture", True),
        ("sign_agreement", "quadrant", False),
        ("sign_agreement", "anti_correlated", False),
        ("action_agreement", "anti_correlated", True),
        ("twin_peaks", "mixture", True),
        ("twin_peaks", "correlated", False),
    ],
)
def test_what_the_data_covers(game, data, covered):
    led = way(make_game(game), start_actions(Cell(game, data, "none"), TINY), rows_of(data))
    assert led.covered.tolist() == [covered] * 3


def test_the_way_follows_exact_gradients_to_the_optimum():
    game, start = make_game("action_agreement"), torch.tensor([[[-0.5], [0.7]]])
    led = way(game, start, rows_of("uniform"), points=5)
    # Both close in on their mean, which stays: a straight line across the diagonal.
    wanted = torch.tensor([[-0.5, 0.7], [-0.35, 0.55], [-0.2, 0.4], [-0.05, 0.25], [0.1, 0.1]]).double()
    torch.testing.assert_close(led.points[0], wanted, atol=0.13, rtol=0)
    torch.testing.assert_close(led.points.sum(-1), torch.full((1, 5), 0.2).double(), atol=1e-6, rtol=0)


def test_a_start_that_leads_to_the_lower_peak_is_not_covered():
    led = way(make_game("twin_peaks"), torch.tensor([[[-0.6], [-0.6]]]), rows_of("uniform"))
    assert not led.arrives[0]
    assert not led.covered[0]


def test_density_is_that_of_a_naive_count():
    rows, points = rows_of("mixture", 500), torch.tensor([[[0.5, -0.5], [0.95, 1.0]]]).double()
    for point, found in zip(points[0].tolist(), density(points, rows)[0].tolist(), strict=True):
        inside = sum(
            all(abs(a - p) <= BOX for a, p in zip(row, point, strict=True))
            for row in rows.squeeze(-1).tolist()
        )
        volume = 1.0
        for p in point:
            volume *= (min(p + BOX, 1) - max(p - BOX, -1)) / 2
        assert found == pytest.approx(inside / 500 / volume)
    assert density(points, rows_of("uniform", 40_000)).mean().item() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # By hand for 10 of 10: low = 1 / (1 + z^2 / 10); the others from the formula's symmetry and a table.
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (50, 100, 0.4038, 0.5962), (95, 100, 0.8883, 0.9785)],
)
def test_wilsons_interval(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_policies_begin_where_they_are_said_to():
    cell = Cell("sign_agreement", "uniform", "none", agents=3)
    start = start_actions(cell, TINY)
    assert (start.squeeze(-1) - torch.tensor([-0.6, 0.6, -0.6])).abs().max() <= TINY.start_spread
    torch.testing.assert_close(joint_action(Learner(cell, TINY)), start)


@pytest.mark.parametrize("augmentation", list(AUGMENTATIONS))
def test_a_stack_of_seeds_is_as_many_single_runs(augmentation):
    cell = Cell("twin_peaks", "mixture", augmentation, refresh_every=2)
    stack = Learner(cell, TINY)
    stack.advance(4)
    for place, seed in enumerate(TINY.seeds):
        alone = Learner(cell, replace(TINY, seeds=(seed,)))
        alone.advance(4)
        torch.testing.assert_close(joint_action(stack)[place], joint_action(alone)[0], atol=1e-4, rtol=1e-4)


def test_augmentations_differ_in_when_and_how_they_draw():
    def draws(augmentation):
        learner = Learner(Cell("sign_agreement", "uniform", augmentation, refresh_every=1), TINY)
        blocks = []
        for _ in range(2):
            learner.advance(1)
            assert isinstance(learner.experience, MixedData)
            blocks.append(learner.experience.synthetic.storage.action[:, 0].clone())
        return blocks

    static, unguided, coda = draws("static"), draws("refreshed_unguided"), draws("coda")
    assert torch.equal(static[0], static[1])
    assert torch.equal(static[0], unguided[0])
    assert not torch.equal(unguided[0], unguided[1])
    assert not torch.equal(unguided[0], coda[0])


def test_a_row_says_what_came_of_a_cell():
    row = train_cell(Cell("action_agreement", "anti_correlated", "coda", refresh_every=3), TINY)
    needed = {
        "game",
        "data",
        "optimum_in_data",
        "augmentation",
        "seeds",
        "reached",
        "interval",
        "return_mean",
    }
    assert needed <= row.keys()
    assert (row["seeds"], row["updates"], row["optimum_in_data"]) == (3, 6, True)
    assert 0 <= row["interval"][0] <= row["reached"] <= row["interval"][1] <= 1
    assert row["course"]["update"] == [0, 3, 6]
    assert torch.tensor(row["course"]["action"]).shape == (3, 3, 2)
    assert torch.tensor(row["course"]["samples"]).shape == (2, 3, 8, 2)
    assert round(row["reached"] * 3) == 3 - len(row["not_reached"])


def test_exact_gradients_reach_what_is_called_reached():
    """The verdict itself: a policy put at the optimum has reached it, one beside it has not."""
    at = Training(seeds=(0,), start=0.95, start_spread=0.0, rows=50)
    beside = replace(at, start=0.85)
    game = make_game("polynomial", {"terms": [(-1.0, (1, 0)), (1.0, (0, 1))]})  # greatest at (-1, 1)
    for plan, reached in ((at, True), (beside, False)):
        start = start_actions(Cell("sign_agreement", "uniform", "none"), plan)
        assert bool(game.distance(start)[0] <= 0.1) is reached


def test_its_axes_are_the_fields_of_a_cell():
    assert set(load_study("polynomial_games").axes) == {field.name for field in fields(Cell)}


def test_the_study_runs_and_is_kept(tmp_path, capsys):
    request = Request(
        "polynomial_games", "debug", tmp_path, ("updates=10",), {"augmentation": ("none", "pjap", "coda")}
    )
    rows = STUDIES["polynomial_games"].run(request)
    assert [row["augmentation"] for row in rows] == ["none", "pjap", "coda"]
    assert json.loads((tmp_path / "polynomial_games.json").read_text()) == rows
    assert (tmp_path / "polynomial_games.png").stat().st_size > 15_000
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert len(kept) == 3
    assert STUDIES["polynomial_games"].run(request) == rows
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()} == kept


def test_pictures_of_other_cells(tmp_path):
    cells = [
        Cell("sign_agreement", "uniform", "none", agents=3),
        Cell("twin_peaks", "quadrant", "coda", weight=2.0),
        Cell("twin_peaks", "quadrant", "none", weight=2.0),
    ]
    rows = [train_cell(cell, replace(TINY, updates=2, eval_every=1)) for cell in cells]
    assert telling(rows, "sign_agreement") == []
    assert draw(rows, tmp_path).stat().st_size > 15_000


@pytest.mark.parametrize(
    ("overrides", "only", "message"),
    [
        (["udpates=3"], {}, "unknown option of study=polynomial_games 'udpates'; did you mean 'updates'"),
        (["seeds=3"], {}, "seeds must be a list, got 3"),
        ([], {"game": ("chess",)}, "unknown cells.game 'chess'"),
        ([], {"augmentation": ("cdoa",)}, "did you mean 'coda'"),
        ([], {"weight": ("-1",)}, r"weight=-1.0 \(lambda\) must be at least 0"),
        ([], {"agents": ("1",)}, "agents=1, needs a whole number of at least 2"),
    ],
)
def test_bad_input(overrides, only, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        STUDIES["polynomial_games"].run(
            Request("polynomial_games", "debug", tmp_path / "out", tuple(overrides), only)
        )
