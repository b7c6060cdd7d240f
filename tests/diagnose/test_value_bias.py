"""Overestimates of agents whose true values are known: a chain by geometric sums, and a linear-Gaussian world."""

import pytest
import torch

from mbrl.diagnose.value_bias import truncation_bound, value_bias
from tests.diagnose.worlds import (
    GAMMA,
    SEEDS,
    Chain,
    Clipped,
    LinearGaussian,
    Promises,
    Right,
    Soft,
    Steering,
    at,
    rolled,
)

ZEROS = at(torch.zeros(5, 1))


def geometric(n, first=0):
    return sum(GAMMA**t for t in range(first, n))


def test_promises_minus_a_geometric_sum():
    agent = Promises(value=lambda s: 100 + s, offsets=(0.0, 4.0))
    found = value_bias(agent, Chain(pay=2.0), rolled(Chain(), Right(), ZEROS, 2, 6, SEEDS), SEEDS, horizon=20)
    true = 2 * geometric(20)
    for s, scale in enumerate((1, 2)):
        for d in range(3):
            assert found.value["plain"].mean[s, d] == pytest.approx(true)
            assert found.overestimate["min_plain"].mean[s, d] == pytest.approx(100 + d - true)
            assert found.overestimate["mean_plain"].mean[s, d] == pytest.approx(100 + d + 2 * scale - true)
            assert found.overestimate["min_soft"].mean[s, d] == pytest.approx(100 + d - true)
    assert found.reached.tolist() == [[1, 1, 1]] * 2
    assert found.left_out.sum() == 0


def test_soft_returns_count_the_bonus_of_every_action_but_the_first():
    agent, depths = Soft(), rolled(Chain(), Right(), ZEROS, 1, 6, SEEDS)
    found = value_bias(agent, Chain(), depths, SEEDS, horizon=20)
    soft = geometric(20) + 0.5 * geometric(20, first=1)
    assert found.value["soft"].mean.flatten().tolist() == pytest.approx([soft] * 4)
    assert found.value["plain"].mean.flatten().tolist() == pytest.approx([geometric(20)] * 4)
    assert found.overestimate["min_soft"].mean[0, 0] == pytest.approx(-soft)
    assert found.overestimate["min_plain"].mean[0, 0] == pytest.approx(-geometric(20))


def test_an_exact_q_of_a_linear_gaussian_world_has_no_bias():
    data = at(torch.linspace(-2, 2, 40).unsqueeze(-1))
    world, exact = LinearGaussian(), Steering()
    # for the row's own action: Q(s, a) = V(s) only because a is what the policy does anyway
    depths = rolled(world, exact, data, 3, 400, SEEDS)
    found = value_bias(exact, world, depths, SEEDS, horizon=120)
    figure = found.overestimate["min_soft"]
    assert (figure.mean.abs() < 4 * figure.error).all()
    assert (figure.error < 0.06).all()
    lifted = value_bias(Steering(offset=3.0), world, depths, SEEDS, horizon=120)
    assert torch.allclose(lifted.overestimate["mean_soft"].mean, figure.mean + 3.0)


def test_ended_rollouts_and_unknown_states_are_left_out_and_counted():
    data = at(torch.tensor([[0.0], [9.0]]))
    depths = rolled(Chain(), Right(), data, 2, 30, SEEDS)
    found = value_bias(Promises(), Clipped(), depths, SEEDS, horizon=4)
    high = (data.obs[depths.index, 0] == 9).sum(-1)
    assert found.left_out[:, 0].tolist() == [0, 0]
    assert found.left_out[:, 1].tolist() == found.left_out[:, 2].tolist() == high.tolist()
    assert found.value["plain"].count[:, 1].tolist() == (30 - high).tolist()
    assert found.value["plain"].mean[:, 1].tolist() == pytest.approx([geometric(4)] * 2)
    ended = rolled(Chain(end=1.0), Right(), ZEROS, 2, 6, SEEDS)
    found = value_bias(Promises(), Chain(end=1.0), ended, SEEDS, horizon=9)
    assert found.reached.tolist() == [[1, 0, 0]] * 2
    assert found.left_out.sum() == 0
    assert found.value["plain"].mean[:, 0].tolist() == [1.0, 1.0]
    assert found.value["plain"].mean[:, 1:].isnan().all()


def test_nothing_is_simulated_where_no_state_is_known():
    truth, ticks = Clipped(), []
    depths = rolled(Chain(), Right(), at(torch.full((4, 1), 50.0)), 1, 3, SEEDS)
    found = value_bias(Promises(), truth, depths, SEEDS, horizon=5, tick=lambda: ticks.append(1))
    assert truth.steps == 0
    assert found.left_out.tolist() == [[3, 3]] * 2
    assert found.overestimate["min_soft"].mean.isnan().all()
    assert len(ticks) == 4


def test_soft_and_plain_come_from_the_same_trajectories():
    class Noisy(Soft):
        bonus = 0.0

        def act(self, obs, streams=None):
            return streams.randn(*obs.shape[1:])

        def act_soft(self, obs, streams):
            return self.act(obs, streams), torch.zeros(obs.shape[:-1])

        def values(self, obs):
            raise AssertionError

    world = LinearGaussian()
    depths = rolled(world, Noisy(), ZEROS, 1, 8, SEEDS)
    found = value_bias(Noisy(), world, depths, SEEDS, horizon=12)
    assert torch.equal(found.value["soft"].mean, found.value["plain"].mean)


def test_what_the_horizon_leaves_out():
    # r = 1 for ever: 1 / (1 - gamma) in all, (1 - gamma^H) / (1 - gamma) of it seen
    assert truncation_bound(GAMMA, 5, 2.0) == pytest.approx(2 * (1 / (1 - GAMMA) - geometric(5)))
    found = value_bias(
        Promises(), Chain(pay=-2.0), rolled(Chain(pay=-2.0), Right(), ZEROS, 1, 4, SEEDS), SEEDS, horizon=5
    )
    assert found.truncation == pytest.approx(truncation_bound(GAMMA, 5, 2.0))


def test_a_seed_alone_equals_its_slice():
    world, agent = LinearGaussian(), Steering()
    data = at(torch.linspace(-1, 1, 20).unsqueeze(-1))
    both, alone = (
        value_bias(agent, world, rolled(world, agent, data, 2, 10, seeds), seeds, horizon=15)
        for seeds in ((3, 4), (4,))
    )
    assert torch.equal(both.overestimate["min_soft"].mean[1:], alone.overestimate["min_soft"].mean)
