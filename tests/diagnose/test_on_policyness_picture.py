"""The picture of on-policy-ness shows every curve, the seeds' bands and the data's own rows."""

import matplotlib.pyplot as plt
import pytest

from mbrl.diagnose import on_policyness_picture
from mbrl.diagnose.on_policyness import Curve, Point
from mbrl.diagnose.on_policyness_picture import draw_on_policyness


def curve(env, policy, guide, *, step=0.5, data=True, level=1.0):
    def one(weight, scale, seeds=()):
        return Point(
            weight, scale, 0.5 * scale, None if step is None else step * scale, 0.1, 0.0, seeds=seeds
        )

    points = [
        one(w, level / (1 + w), (one(w, 0.9 / (1 + w)), one(w, 1.2 / (1 + w)))) for w in (0.0, 0.1, 1.0)
    ]
    own = Point(None, 0.7, 1e-6, None if step is None else 2e-6, 0.1, 0.0) if data else None
    return Curve(env, policy, guide, points, own)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and gives the axes that would have been written, line by line."""

    def draw(curves):
        kept = []
        monkeypatch.setattr(
            on_policyness_picture, "write_picture", lambda figure, file, dpi: kept.append(figure)
        )
        draw_on_policyness(curves, tmp_path / "a.png", title="a")
        return kept[0]

    yield draw
    plt.close("all")


def test_a_line_of_panels_an_environment(drawn):
    curves = [curve(env, p, g) for env in ("a", "b") for p in ("x", "y") for g in ("posterior", "conjugate")]
    axes = drawn(curves).axes
    assert [axis.get_title() for axis in axes[:3]] == [
        "a\nDistance to the joint policy",
        "a\nError of one step",
        "a\nError of the reward",
    ]
    assert len(axes) == 6
    distance, step, _ = axes[:3]
    # Four curves; in the distance, a line of the data's own for each policy, in the step's error that at 1.
    assert len(distance.get_lines()) == 4 + 2
    assert len(step.get_lines()) == 4 + 1
    assert len(distance.collections) == 4
    assert distance.get_lines()[0].get_ydata().tolist() == [1.0, 1 / 1.1, 0.5]
    assert [line.get_ydata()[0] for line in distance.get_lines()[-2:]] == [0.7, 0.7]
    assert "2e-06" in step.texts[0].get_text()
    assert [t.get_text() for t in step.get_xticklabels()] == ["0", "0.1", "1"]


def test_bands_reach_from_the_least_to_the_most_of_the_seeds(drawn):
    band = drawn([curve("a", "x", "posterior")]).axes[0].collections[0].get_paths()[0].vertices
    at_zero = sorted({round(float(y), 6) for x, y in band if x == 0})
    assert at_zero == [0.9, 1.2]


def test_games_have_no_step(drawn):
    figure = drawn([curve("", "", "posterior", step=None, data=False)])
    assert [axis.get_title() for axis in figure.axes] == [
        "Distance to the joint policy",
        "Error of the reward",
    ]
    assert len(figure.axes[1].texts) == 0


def test_an_environment_without_a_step_beside_one_with_it(drawn):
    figure = drawn([curve("a", "x", "posterior"), curve("b", "x", "posterior", step=None)])
    assert [axis.get_visible() for axis in figure.axes] == [True] * 4 + [False, True]


def test_errors_that_differ_by_orders_of_magnitude_are_on_a_logarithmic_axis(drawn):
    flat = drawn([curve("a", "x", "posterior")]).axes[2]
    wide = drawn([curve("a", "x", "posterior"), curve("a", "x", "noisy", level=1000.0)]).axes[2]
    assert (flat.get_yscale(), wide.get_yscale()) == ("linear", "log")


def test_the_file(tmp_path):
    draw_on_policyness([curve("a", "x", "posterior")], tmp_path / "a.png", title="one")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert plt.get_fignums() == []
