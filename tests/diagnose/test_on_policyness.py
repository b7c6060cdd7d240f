"""A point's figures by loops, on rows made up; and the picture."""

import pytest
import torch

from mbrl.core.joint import Layout
from mbrl.core.types import Transitions
from mbrl.diagnose.on_policyness import Point, draw_on_policyness, on_policyness, point
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.shape import SegmentShape

LAYOUT = Layout((2, 1), (1, 2))


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

    found = point(made, Half(), truth, 0.7, drawn, alive)
    away, wrong, steps = [], [], []
    std = made.shape.split(made.std)
    for s, b in alive.nonzero().tolist():
        for i, size in enumerate(LAYOUT.action_dims):
            away += [(float(drawn.action[s, b, i, k]) - 0.5) ** 2 for k in range(size)]
        if (s, b) == (1, 3):
            continue
        wrong.append((float(drawn.reward[s, b] - drawn.action[s, b].sum()) / float(std.reward)) ** 2)
        for i, size in enumerate(LAYOUT.obs_dims):
            steps += [(2.0 / float(std.obs[i, k])) ** 2 for k in range(size)]
    assert found.action_distance == pytest.approx((sum(away) / len(away)) ** 0.5)
    assert found.reward_error == pytest.approx((sum(wrong) / len(wrong)) ** 0.5)
    assert found.step_error == pytest.approx((sum(steps) / len(steps)) ** 0.5)
    assert found.void == pytest.approx(1 / 8)
    assert found.weight == 0.7


def test_no_step_error_where_nothing_moves():
    made = model()
    made.std[made.shape.obs_columns] = 1e-3
    drawn = rows(torch.Generator().manual_seed(0))
    truth = lambda obs, action: (obs, action.sum((-2, -1)))  # noqa: E731
    assert point(made, Half(), truth, 0.0, drawn, torch.ones(2, 4, dtype=torch.bool)).step_error is None


def test_the_distance_falls_with_lambda():
    truth = lambda obs, action: (obs, action.sum((-2, -1)))  # noqa: E731
    points = on_policyness(model(), Half(), truth, [0.0, 1.0, 50.0], n=20, steps=6)
    distances = [p.action_distance for p in points]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.5 * distances[0]


def test_the_picture(tmp_path):
    points = [Point(w, 1.0, 0.5, None, 0.1, 0.0) for w in (0.0, 0.1, 1.0)]
    draw_on_policyness({"a": points, "b": points}, tmp_path / "a.png", title="two")
    assert (tmp_path / "a.png").stat().st_size > 5000
