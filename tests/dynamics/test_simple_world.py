import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.dynamics.reward_maps import REWARD_MAPS
from mbrl.dynamics.simple_world import SimpleWorld, depth, edge_of_reach, start_lattice, start_states


def test_a_step_adds_the_action_and_pays_where_it_leads():
    world = SimpleWorld(lambda s: s.sum(-1))
    obs, action = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[0.5, -1.0]]])
    out = world.step(world.begin(obs), obs, action, Streams((0,), "x"), members=True)
    assert out.next_obs.tolist() == [[[1.5, 1.0]]]
    assert out.reward.tolist() == [[2.5]]
    assert not out.terminal.any()
    assert out.prediction.mean.tolist() == [[[[1.5, 1.0, 2.5]]]]
    assert (out.prediction.std == 0).all()
    too_far = world.step(None, obs, 3 * torch.ones(1, 1, 2), Streams((0,), "x"))
    assert too_far.next_obs.tolist() == [[[2.0, 3.0]]]
    assert too_far.prediction is None


def test_depth_in_closed_form():
    states = torch.tensor(
        [[0.0, 0.0], [2.0, -2.0], [2.01, 0.0], [0.0, 3.0], [-3.5, 1.0], [5.0, -12.0], [12.1, 0.0]]
    )
    assert depth(states).tolist() == [0, 0, 1, 1, 2, 10, 11]
    assert edge_of_reach(states, 10).tolist() == [False] * 5 + [True, False]


def test_depth_is_the_first_step_at_which_any_policy_arrives():
    """Against brute force: t steps from the nearest start, as fast as possible, arrive; t - 1 do not."""
    states = 30 * torch.rand(500, 2, generator=torch.Generator().manual_seed(1)) - 15
    at = states.clamp(-2.0, 2.0)
    arrived = torch.full((500,), -1)
    for t in range(15):
        here = ((at - states).abs().amax(-1) < 1e-6) & (arrived < 0)
        arrived[here] = t
        at = at + (states - at).clamp(-1.0, 1.0)
    assert torch.equal(arrived, depth(states))


def test_rollouts_fill_the_edge_of_reach_only_at_their_last_step():
    world, streams = SimpleWorld("bowl"), Streams((0,), "x")
    obs = start_states(2000, streams)
    direction = torch.sign(obs)
    for t in range(1, 11):
        obs = world.step(None, obs, direction, streams).next_obs
        assert edge_of_reach(obs, 10).any() == (t == 10)
        assert int(depth(obs).max()) == t


def test_starts():
    draws = start_states(4000, Streams((0, 1), "s"))
    assert draws.shape == (2, 4000, 2)
    assert draws.abs().max() <= 2.0
    assert draws.mean().abs() < 0.05
    assert draws.var() == pytest.approx(4 / 3, abs=0.05)
    assert not torch.equal(draws[0], draws[1])
    assert start_lattice(2).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def test_names():
    assert SimpleWorld("bowl").reward is REWARD_MAPS["bowl"]
    with pytest.raises(ConfigError, match="unknown reward map 'bowls'; did you mean 'bowl'"):
        SimpleWorld("bowls")
