"""A point's figures by loops, on rows made up."""

import json
from dataclasses import replace

import pytest
import torch

from mbrl.core.joint import Layout
from mbrl.core.types import Transitions
from mbrl.diagnose.on_policyness import Curve, Point, on_policyness, point, step_deviations
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.shape import SegmentShape

LAYOUT = Layout((2, 1), (1, 2))
STEP = torch.tensor([[0.5, 2.0], [4.0, 1.0]])


class Half:
    deterministic = True

    def act(self, obs, streams=None):
        return torch.full((*obs.shape[:-1], 2), 0.5) * LAYOUT.action_mask()


def model():
    made = DiffusionModel(SegmentShape(2, LAYOUT), width=8, depth=1)
    made.std.copy_(torch.arange(1.0, 1 + made.shape.width))
    return made


def rows(g):
    obs = torch.randn(2, 4, 2, 2, generator=g) * LAYOUT.obs_mask()
    flags = torch.zeros(2, 4, dtype=torch.bool)
    action = torch.rand(2, 4, 2, 2, generator=g) * LAYOUT.action_mask()
    reward = torch.randn(2, 4, generator=g)
    return Transitions(obs, action, reward, obs + 1.0 * LAYOUT.obs_mask(), flags, flags, flags.long())


def test_a_point_by_loops():
    made, drawn = model(), rows(torch.Generator().manual_seed(0))
    alive = torch.tensor([[True, True, False, True], [True] * 4])

    def truth(obs, action):
        next_obs = obs + 3.0 * LAYOUT.obs_mask()
        next_obs[1, 3] = torch.nan  # a row whose state the simulator does not know
        return next_obs, action.sum((-2, -1)), "more"

    found = point(made, Half(), truth, 0.7, drawn, alive, STEP)
    assert _figures(found) == pytest.approx(_by_loops(made, drawn, alive.nonzero().tolist()))
    assert found.void == pytest.approx(1 / 8)
    assert found.known == pytest.approx(6 / 7)
    assert found.weight == 0.7
    assert len(found.seeds) == 2
    for s, alone in enumerate(found.seeds):
        living = [[s, b] for b in range(4) if alive[s, b]]
        assert _figures(alone) == pytest.approx(_by_loops(made, drawn, living))
        assert alone.void == pytest.approx((1 - s) / 4)
        assert alone.seeds == ()


def _figures(found):
    return [found.action_distance, found.reward_error, found.step_error, found.step_median]


def _by_loops(made, drawn, living):
    away, wrong, steps, by_row = [], [], [], []
    reward_std = float(made.shape.split(made.std).reward)
    for s, b in living:
        for i, size in enumerate(LAYOUT.action_dims):
            away += [(float(drawn.action[s, b, i, k]) - 0.5) ** 2 for k in range(size)]
        if (s, b) == (1, 3):
            continue
        wrong.append((float(drawn.reward[s, b] - drawn.action[s, b].sum()) / reward_std) ** 2)
        row = [(2.0 / float(STEP[i, k])) ** 2 for i, size in enumerate(LAYOUT.obs_dims) for k in range(size)]
        steps += row
        by_row.append((sum(row) / len(row)) ** 0.5)
    median = sorted(by_row)[(len(by_row) - 1) // 2]
    return [(sum(x) / len(x)) ** 0.5 for x in (away, wrong, steps)] + [median]


def test_no_step_error_where_no_step_is_measured():
    drawn = rows(torch.Generator().manual_seed(0))
    truth = lambda obs, action: (obs, action.sum((-2, -1)))  # noqa: E731
    found = point(model(), Half(), truth, 0.0, drawn, torch.ones(2, 4, dtype=torch.bool))
    assert found.step_error is None
    assert found.step_median is None
    assert found.reward_error > 0


def test_rows_without_a_truth_have_a_distance_and_no_errors():
    drawn = rows(torch.Generator().manual_seed(0))
    truth = lambda obs, action: (obs * torch.nan, action.sum((-2, -1)))  # noqa: E731
    found = point(model(), Half(), truth, None, drawn, torch.ones(2, 4, dtype=torch.bool), STEP)
    assert found.known == 0
    assert found.action_distance > 0
    as_json = found.as_dict()
    assert (as_json["weight"], as_json["reward_error"], as_json["step_error"]) == (None, None, None)


def test_deviations_of_a_step_by_hand():
    drawn = rows(torch.Generator().manual_seed(0)).map(lambda x: x[0])
    moved = torch.tensor([1.0, 3.0, 1.0, 3.0])[:, None, None] * torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    drawn = replace(drawn, next_obs=drawn.obs + moved)
    # Columns that never move, padding among them, are left as they are.
    assert torch.allclose(step_deviations(drawn), torch.tensor([[1.0, 2.0], [1.0, 1.0]]), atol=1e-5)


def test_the_distance_falls_with_lambda():
    truth = lambda obs, action: (obs, action.sum((-2, -1)))  # noqa: E731
    points = on_policyness(model(), Half(), truth, [0.0, 1.0, 50.0], n=20, steps=6)
    distances = [p.action_distance for p in points]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.5 * distances[0]


def test_a_curve_as_json():
    one = Point(1.0, 0.3, float("nan"), None, 0.1, 0.0)
    data = Point(None, 0.4, 0.0, 0.0, 0.1, 0.0)
    found = json.loads(json.dumps(Curve("e", "p", "g", [one], data, {"rows": 3}).as_dict()))
    assert (found["env"], found["policy"], found["guide"], found["rows"]) == ("e", "p", "g", 3)
    assert found["points"][0]["reward_error"] is None
    assert found["data"]["action_distance"] == 0.4
