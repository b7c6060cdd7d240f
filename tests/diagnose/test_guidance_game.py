"""The game's curves: distance falls with lambda where the data covers the policy, and not to nothing elsewhere."""

import pytest

from mbrl.diagnose.guidance_game import GUIDES, OFF_DATA, game_curves


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    options = {"rows": 2000, "n": 300, "weights": (0.0, 1.0), "steps": 400, "lr": 3e-3, "progress": False}
    options |= {"batch_size": 128}
    return game_curves(tmp_path_factory.mktemp("cache"), **options)


def test_every_guide_has_its_curve(curves):
    assert set(curves) == {*GUIDES, OFF_DATA}
    # The same noise without guidance, but for the one that samples without churn.
    same = [points[0] for name, points in curves.items() if name in GUIDES and "churn" not in GUIDES[name]]
    assert all(point == same[0] for point in same)
    for name in ("posterior", "posterior, no churn", "conjugate", OFF_DATA):
        assert curves[name][1].action_distance < 0.6 * curves[name][0].action_distance


def test_covered_policies_are_met_and_others_are_not(curves):
    assert curves["posterior"][1].action_distance < 0.25
    assert curves[OFF_DATA][1].action_distance > 1.3 * curves["posterior"][1].action_distance
