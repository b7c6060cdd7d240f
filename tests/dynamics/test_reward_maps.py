import math

import pytest
import torch

from mbrl.dynamics.reward_maps import (
    REWARD_MAPS,
    bowl,
    bumps,
    euclid,
    plateau,
    ring,
    sines,
    slope_then_cliff,
    sup,
    walled,
)


def at(reward, *points):
    return reward(torch.tensor(points, dtype=torch.float64)).tolist()


def test_norms():
    points = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert sup(points).tolist() == [4.0, 0.0]
    assert euclid(points).tolist() == [5.0, 0.0]


def test_slope_then_cliff_is_the_map_of_the_first_look():
    found = at(REWARD_MAPS["slope_cliff"], (3, 4), (0, 11), (0, -12), (13, 0))
    assert found == pytest.approx([0.5, 1.1, -0.9, -2.9])
    assert at(slope_then_cliff(norm=sup), (3, 4), (12, 12)) == pytest.approx([0.4, -0.9])


def test_plateau_rises_stays_tilts_and_falls_to_its_floor():
    flat = plateau(4.0, 10.0, floor=-3.0, steep=2.0)
    assert at(flat, (0, 0), (1, 2), (4, 0), (-10, 3), (11, 0), (0, 12), (50, 50)) == pytest.approx(
        [0.0, 0.5, 1.0, 1.0, -1.0, -3.0, -3.0]
    )
    tilted = plateau(4.0, 10.0, tilt=-0.1)
    assert at(tilted, (5, 0), (10, 0), (10.5, 0)) == pytest.approx([0.9, 0.4, -0.3])


def test_smooth_maps():
    assert at(bowl((1.0, 0.0), 2.0), (1, 0), (2, 0), (9, 9)) == pytest.approx([1.0, 0.75, -1.0])
    assert at(ring(6.0, 1.5), (0, 6), (0, 7.5)) == pytest.approx([1.0, math.exp(-0.5)])
    assert at(bumps((0, 0, 2.0), (4, 0, 1.0), width=2.0), (0, 0), (4, 0)) == pytest.approx(
        [2 + math.exp(-2), 1 + 2 * math.exp(-2)]
    )
    assert at(sines(4.0), (1, 1), (1, 3), (-1, 0)) == pytest.approx([1.0, 0.0, -0.5])


def test_a_wall_leaves_the_inside_alone():
    walled_in = walled(sines(4.0), 3.0, floor=-2.0, steep=1.0)
    assert at(walled_in, (1, 1), (3, 3), (3.5, 0), (4, 0)) == pytest.approx(
        [1.0, -1.0, -0.25 * math.sqrt(0.5) - 1.0, -2.0]
    )


@pytest.mark.parametrize("name", sorted(REWARD_MAPS))
def test_every_map_gives_one_finite_reward_a_state_in_its_own_type(name):
    states = 40 * torch.rand(3, 50, 2, generator=torch.Generator().manual_seed(0)) - 20
    rewards = REWARD_MAPS[name](states)
    assert (rewards.shape, rewards.dtype) == ((3, 50), torch.float32)
    assert rewards.isfinite().all()
    assert rewards.std() > 0
    torch.testing.assert_close(REWARD_MAPS[name](states.double()).float(), rewards, rtol=1e-4, atol=1e-4)
