import itertools

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.dynamics.grid_value import GridOracle, GridValue, optimal_value
from mbrl.dynamics.reward_maps import REWARD_MAPS, sup
from tests.fakes import random_transitions


def closest(state, gamma, steps):
    """The optimum for r = -|s|_inf: straight to the origin, one unit a step."""
    distance = sup(state).double()
    return sum(-(gamma**t) * (distance - 1 - t).clamp_min(0) for t in range(steps))


@pytest.mark.parametrize("spacing", [1.0, 0.5, 0.25])
def test_the_value_of_coming_home_in_closed_form(spacing):
    grid = optimal_value(lambda s: -sup(s), gamma=0.9, horizon=40, half_width=12.0, spacing=spacing)
    states = torch.cartesian_prod(*[torch.arange(-12, 13.0)] * 2)
    torch.testing.assert_close(grid.at(states), closest(states, 0.9, 40))


def test_off_the_lattice_it_is_as_near_as_stated():
    grid = optimal_value(lambda s: -sup(s), gamma=0.9, horizon=40, half_width=12.0)
    states = 20 * torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) - 10
    assert (grid.at(states) - closest(states, 0.9, 40)).abs().max() < 0.25 / 2 / (1 - 0.9)


def test_backups_agree_with_a_naive_search_over_action_sequences():
    reward, start = REWARD_MAPS["sines_6"], torch.tensor([1.0, -2.0], dtype=torch.float64)
    moves = [torch.tensor(m, dtype=torch.float64) for m in itertools.product((-1, -0.5, 0, 0.5, 1), repeat=2)]

    def best(state, steps):
        if steps == 0:
            return 0.0
        return max(float(reward(state + m)) + 0.8 * best(state + m, steps - 1) for m in moves)

    grid = optimal_value(reward, gamma=0.8, horizon=2, half_width=8.0, spacing=0.5)
    assert grid.at(start).item() == pytest.approx(best(start, 2))


def test_a_constant_reward_sums_to_its_series():
    grid = optimal_value(lambda s: torch.ones_like(s[..., 0]), gamma=0.5, horizon=60, half_width=3.0)
    torch.testing.assert_close(grid.values, torch.full_like(grid.values, 2.0))


def test_reading_between_and_beyond_lattice_points():
    grid = GridValue(torch.tensor([[0.0, 1.0], [2.0, 5.0]], dtype=torch.float64), half_width=1.0)
    states = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [0.0, 0.0], [9.0, 9.0], [-9.0, 0.0]])
    assert grid.at(states).tolist() == pytest.approx([0.0, 1.0, 2.0, 2.0, 5.0, 0.5])


def test_the_oracle_reads_successors_where_it_is_asked():
    grid = optimal_value(lambda s: -sup(s), gamma=0.9, horizon=20, half_width=4.0)
    batch = random_transitions(2, 6, obs_dim=2)
    where = torch.tensor([[True, False] * 3] * 2)
    value = GridOracle(grid).value(None, batch, where, Streams((0, 1), "x"))
    torch.testing.assert_close(value[where], grid.at(batch.next_obs)[where])
    assert (value[~where] == 0).all()


@pytest.mark.parametrize("options", [{"spacing": 0.3}, {"spacing": 0.25, "half_width": 1.1}])
def test_a_lattice_that_steps_would_miss_is_refused(options):
    with pytest.raises(ConfigError, match="must divide 1"):
        optimal_value(sup, gamma=0.9, horizon=1, **options)
