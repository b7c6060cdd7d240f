"""Monte-Carlo values against sums done by hand."""

import pytest
import torch

from mbrl.agents import SAC
from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.dynamics.monte_carlo import MonteCarloOracle, discounted_return
from tests.fakes import Towards, Walk


class Still:
    """Never moves; its action counts as an entropy bonus of 2."""

    def act(self, obs, streams=None):
        return torch.zeros(*obs.shape[:-1], 2)

    def act_soft(self, obs, streams):
        return self.act(obs), torch.full(obs.shape[:-1], 2.0)


def at(*points):
    """Start states [1, B, 3]."""
    return torch.tensor([points])


def value(policy, obs, *, model=None, **options):
    options = {"gamma": 0.5, "horizon": 50} | options
    return discounted_return(model or Walk(), policy, obs, None, Streams((0,), "mc"), **options)


def test_a_resting_policy_earns_a_geometric_series():
    # r = -|s|^2 = -4 for ever: -4 / (1 - 0.5), less gamma^50 of it
    got = value(Still(), at([2.0, 0.0, 0.0]), soft=False)
    assert got.dtype == torch.float64
    assert got.item() == pytest.approx(-8 * (1 - 0.5**50), rel=1e-12)


def test_the_horizon_truncates_the_sum():
    assert value(Still(), at([2.0, 0.0, 0.0]), soft=False, horizon=2).item() == pytest.approx(-4 - 2)


def test_a_soft_value_counts_every_bonus_and_a_soft_q_all_but_the_first():
    zero = at([0.0, 0.0, 0.0])
    assert value(Still(), zero).item() == pytest.approx(4.0)
    stay = torch.zeros(1, 1, 2)
    assert value(Still(), zero, first_action=stay).item() == pytest.approx(2.0)
    assert value(Still(), zero, first_action=stay, soft=False).item() == 0.0


def test_the_first_action_is_taken_once():
    # From 0 to (1, 1, 0), r = -2, and there it rests: -2 - 0.5 * 2 * 2
    got = value(Still(), at([0.0, 0.0, 0.0]), first_action=torch.ones(1, 1, 2), soft=False)
    assert got.item() == pytest.approx(-4.0)


def test_a_terminal_ends_the_sum_for_its_row_alone():
    model = Walk(ends=lambda next_obs: next_obs[..., 0] > 1.5)
    got = value(Still(), at([2.0, 0.0, 0.0], [1.0, 0.0, 0.0]), model=model, soft=False)
    assert got[0].tolist() == pytest.approx([-4.0, -2.0])


def test_a_terminal_first_action_leaves_its_reward_alone():
    model = Walk(ends=lambda next_obs: next_obs[..., 0] > 0.5)
    got = value(Still(), at([0.0, 0.0, 0.0]), model=model, first_action=torch.ones(1, 1, 2))
    assert got.item() == pytest.approx(-2.0)


def successors(obs, action):
    """Rows whose model step is Walk's, three of them a seed."""
    n = obs.shape[1]
    return Transitions(
        obs=obs,
        action=action,
        reward=torch.full((1, n), 77.0),
        next_obs=torch.full_like(obs, 99.0),
        terminal=torch.zeros(1, n, dtype=torch.bool),
        timeout=torch.zeros(1, n, dtype=torch.bool),
        step=torch.ones(1, n, dtype=torch.int64),
    )


def test_the_oracle_values_the_true_successor_where_it_is_asked():
    obs = at([0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    batch = successors(obs, torch.ones(1, 3, 2))
    oracle = MonteCarloOracle(Walk(), 0.5, rollouts=3, horizon=60)
    where = torch.tensor([[True, False, True]])
    got = oracle.value(Still(), batch, where, Streams((0,), "oracle"))
    # Successors (1, 1, 0) and (2, 1, 0): rest there with r = -2 and -5 and a bonus of 2, for ever
    assert got[0].tolist() == pytest.approx([2 * (-2 + 2), 0.0, 2 * (-5 + 2)])


def test_a_stack_is_its_singles_even_where_seeds_ask_for_different_rows():
    obs = Streams((3, 4), "obs").randn(4, 3)
    action = torch.zeros(2, 4, 2)
    batch = Transitions(
        obs,
        action,
        torch.zeros(2, 4),
        obs,
        torch.zeros(2, 4) > 1,
        torch.zeros(2, 4) > 1,
        torch.ones(2, 4).long(),
    )
    where = torch.tensor([[True, True, True, False], [False, False, True, True]])
    oracle = MonteCarloOracle(Walk(), 0.9, rollouts=2, horizon=5)
    both = oracle.value(Towards(), batch, where, Streams((3, 4), "x"))
    assert (both != 0).tolist() == where.tolist()
    for s, seed in enumerate((3, 4)):
        alone = oracle.value(Towards(), batch[s : s + 1], where[s : s + 1], Streams((seed,), "x"))
        assert torch.equal(both[s : s + 1], alone)


def test_what_a_seed_draws_next_does_not_depend_on_how_long_its_neighbours_live():
    """Seed 3 starts beyond the end and is over at once; seed 4 lives for the whole horizon."""
    ends = Walk(ends=lambda next_obs: next_obs[..., 2] > 0.5)
    obs = torch.zeros(2, 5, 3)
    obs[0, :, 2] = 1.0
    both, alone = Streams((3, 4), "x"), Streams((3,), "x")
    stacked = discounted_return(ends, Towards(), obs, None, both, gamma=0.9, horizon=20)
    single = discounted_return(ends, Towards(), obs[:1], None, alone, gamma=0.9, horizon=20)
    assert torch.equal(stacked[:1], single)
    assert torch.equal(both.randn(4)[:1], alone.randn(4))


@pytest.mark.parametrize("options", [{"rollouts": 0}, {"horizon": 0}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ConfigError, match="rollouts >= 1 and horizon >= 1"):
        MonteCarloOracle(Walk(), **options)


def test_sac_is_a_soft_policy():
    agent = SAC(3, 2, hidden=(4,), alpha=0.5, seeds=(0, 1))
    action, bonus = agent.act_soft(torch.randn(2, 5, 3), Streams((0, 1), "x"))
    _, log_prob = agent.actor.sample(torch.randn(2, 5, 3), torch.zeros(2, 5, 2))
    assert action.shape == (2, 5, 2)
    assert bonus.shape == log_prob.shape == (2, 5)
    # A bonus of one draw: the same action's log-probability, times -alpha
    obs = torch.randn(2, 5, 3)
    action, bonus = agent.act_soft(obs, Streams((0, 1), "y"))
    again, log_prob = agent.actor.sample(obs, Streams((0, 1), "y").randn(5, 2))
    assert torch.equal(action, again)
    torch.testing.assert_close(bonus, -0.5 * log_prob.detach())
