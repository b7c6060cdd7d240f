"""Units of the model: standardised, mapped, and back."""

import math

import pytest
import torch

from mbrl.core.errors import DataError
from mbrl.dynamics.diffusion.model import STD_FLOOR, DiffusionModel
from mbrl.dynamics.diffusion.segments import segments
from tests.dynamics.diffusion.worlds import PAIR, games, walks


@pytest.mark.parametrize("action_map", ["clip", "squash"])
def test_units_round_trip_and_standardise(action_map):
    found = segments(walks((30, 40)), 3)
    model = DiffusionModel(found.shape, action_map=action_map)
    model.fit_units(found.table)
    x = model.encode(found.table)
    assert torch.allclose(x[:, :-1].mean(0), torch.zeros(found.shape.width - 1), atol=1e-5)
    assert torch.allclose(x[:, :-1].std(0, correction=0), torch.ones(found.shape.width - 1), atol=1e-5)
    assert torch.equal(x[:, -1], found.table[:, -1])
    assert torch.allclose(model.decode(x), found.table, atol=2e-3)


def test_constant_observations_stay_what_they_are():
    data = games(torch.rand(50, 2, 1) - 0.5, torch.rand(50), PAIR)
    data.transitions.obs.fill_(5.0)
    found = segments(data, 1)
    model = DiffusionModel(found.shape)
    model.fit_units(found.table)
    assert torch.allclose(model.std[:2], torch.full((2,), STD_FLOOR))
    assert not model.encode(found.table)[:, :2].any()
    off = model.decode(model.encode(found.table) + 1.0)
    assert torch.allclose(off[:, :2], torch.full((50, 2), 5.0), atol=1.1 * STD_FLOOR)


def test_actions_come_back_in_bounds():
    found = segments(walks((5,)), 2)
    x = 100 * torch.randn(9, 3, found.shape.width)
    for name, most in (("clip", 1.0), ("squash", math.tanh(1000))):
        model = DiffusionModel(found.shape, action_map=name)
        assert float(found.shape.split(model.decode(x)).action.abs().max()) <= most


def test_slopes_are_derivatives():
    found = segments(walks((5,)), 2)
    model = DiffusionModel(found.shape, action_map="squash")
    u = torch.linspace(-2, 2, 7, dtype=torch.float64, requires_grad=True)
    action = model.actions.decode(u)
    (slope,) = torch.autograd.grad(action.sum(), u)
    assert torch.allclose(model.actions.slope(action), slope)
    assert float(model.actions.slope(torch.ones(()))) == pytest.approx(1 - 0.999**2)


def test_units_need_finite_rows():
    found = segments(walks((5,)), 2)
    model = DiffusionModel(found.shape)
    for rows in (found.table[:0], found.table * torch.inf):
        with pytest.raises(DataError, match="all of them finite"):
            model.fit_units(rows)
