"""Which pictures there are, and that each shows the numbers it is given."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import torch

from mbrl.diagnose.measure import Measured, Subject, measure
from mbrl.diagnose.pictures import draw_correlation, draw_history, draw_nearness, draw_overestimate, pictures
from mbrl.run.sources import ModelRollouts
from tests.diagnose.worlds import SEEDS, Chain, Soft, at

K = 2


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def found():
    data, model = at(torch.arange(40.0).unsqueeze(-1) / 40), Chain(shift=0.1)
    agent = Soft(value=lambda s: 3 * s, offsets=(0.0, 1.0))
    subject = Subject(agent, data, SEEDS, ModelRollouts(model, data, horizon=K), model, K, Chain())
    return measure(subject, starts=6, mc_horizon=4, progress=False)


def rows(key="reach/q_depth_0", n=3):
    return [{"update": i, "seed": seed, key: float(i + seed)} for i in range(n) for seed in SEEDS]


def lines(axis):
    """y values of the curves with error bars."""
    return [bars.lines[0].get_ydata().tolist() for bars in axis.containers]


def test_a_picture_for_every_part_and_none_for_what_is_missing(found):
    assert set(pictures(found, SEEDS, rows())) == {
        "history",
        "values",
        "overestimate",
        "model_error",
        "nearness",
    }
    assert pictures(Measured(0), SEEDS, ()) == {}


def test_curves_are_the_figures(found):
    promised, overestimate, bars = draw_overestimate(found, SEEDS).axes
    true, over = found.bias.value["soft"].mean, found.bias.overestimate["min_soft"].mean
    assert lines(promised)[:2] == true.tolist()
    assert lines(promised)[2:] == (true + over).tolist()
    assert lines(overestimate)[:2] == over.tolist()
    heights = sorted(patch.get_height() for patch in bars.patches)
    parts = torch.cat([found.origin.gain.mean, found.origin.model.mean, found.origin.within.mean]).flatten()
    assert heights == pytest.approx(parts.sort().values.tolist())
    (near,) = draw_nearness(found.nearness, SEEDS).axes
    curves = [line.get_ydata().tolist() for line in near.get_lines() if line.get_label().startswith("seed")]
    assert curves == found.nearness.quantiles[..., 1].tolist()


def test_measures_without_variation_are_not_drawn(found):
    assert draw_correlation(found, SEEDS) is None
    u = torch.rand(2, 30, generator=torch.Generator().manual_seed(0)).double()
    varied = replace(found.correlation["max_aleatoric"], spearman=torch.tensor([0.5, float("nan")]))
    shown = replace(found, correlation={"a": varied}, scatter={"a": u, "spread": 2 * u})
    (axis,) = draw_correlation(shown, SEEDS).axes
    assert [line.get_label() for line in axis.get_lines()] == ["seed 0, ρ = 0.50", "seed 1, ρ = –"]
    assert axis.get_lines()[1].get_ydata().tolist() == (2 * u[1]).tolist()


def test_history_needs_two_looks_and_returns_are_shown_where_logged():
    assert draw_history(rows(n=1), SEEDS, K) is None
    assert draw_history((), SEEDS, K) is None
    assert len(draw_history(rows(), SEEDS, K).axes) == 1
    assert len(draw_history(rows() + rows("eval/return"), SEEDS, K).axes) == 2
