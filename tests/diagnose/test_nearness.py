"""Distances on a chain and in the simple world, where reach is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from mbrl.core.seeds import Streams
from mbrl.diagnose.depths import draw_starts, others, roll
from mbrl.diagnose.nearness import nearest, nearness
from mbrl.dynamics.simple_world import SimpleWorld, edge_of_reach, start_states
from tests.diagnose.worlds import SEEDS, Chain, Right, at
from tests.fakes import random_transitions

ONE = torch.ones(1)


class Still(Right):
    def act(self, obs, streams=None):
        return torch.zeros(*obs.shape[:-1], 1)


def audit(data, policy, k, n=60, dynamics=None, scale=ONE, **options):
    dynamics = dynamics or Chain()
    index = draw_starts(torch.arange(len(data)), n, SEEDS)
    rest = others(torch.arange(len(data)), index, 4 * n, SEEDS)
    depths = roll(dynamics, policy, data, index, k, SEEDS)
    updated = roll(dynamics, policy, data, rest, k - 1, SEEDS, "updated")
    return depths, nearness(depths, updated, data.obs, scale, SEEDS, **options)


def test_nearest_against_all_distances():
    g = np.random.default_rng(0)
    reference, query = g.normal(size=(40, 3)), g.normal(size=(9, 3))
    distances = np.sort(np.linalg.norm(query[:, None] - reference[None], axis=-1), axis=1)
    for k in (1, 5, 40):
        assert nearest(cKDTree(reference), query, k) == pytest.approx(distances[:, k - 1])
    # no more neighbours than there are points
    assert nearest(cKDTree(reference), query, 99) == pytest.approx(distances[:, -1])
    assert nearest(cKDTree(reference), np.empty((0, 3)), 5).shape == (0,)
    assert nearest(cKDTree(np.empty((0, 3))), query, 5).shape == (0,)


def test_against_all_distances_to_all_updated_states():
    data, k, n = at(Streams((7,), "states").rand(40, 1)[0]), 2, 9
    index = draw_starts(torch.arange(40), n, SEEDS)
    rest = others(torch.arange(40), index, 12, SEEDS)
    depths = roll(Chain(end=2.5), Right(), data, index, k, SEEDS)
    # one step more than is updated: it must not count
    updated = roll(Chain(end=2.5), Right(), data, rest, k, SEEDS, "updated")
    found = nearness(depths, updated, data.obs, torch.tensor([0.5]), SEEDS, neighbours=2)
    for s in range(2):
        free = [float(data.obs[i, 0]) for i in range(40) if i not in index[s]]
        seen = free + [float(data.obs[i, 0]) + 1 for i in rest[s]]
        for d in range(k + 1):
            states = [float(data.obs[i, 0]) + d for i in index[s] if float(data.obs[i, 0]) + d < 2.5]
            distances = [sorted(abs(x - y) / 0.5 for y in seen)[1] for x in states]
            assert found.quantiles[s, d].tolist() == pytest.approx(
                np.quantile(distances, [0.1, 0.5, 0.9]), rel=1e-3
            )


def test_a_step_beyond_the_last_updated_state():
    """Starts evenly on [0, 1): depths 0..k-1 fill [0, 3), and the edge, [3, 4), is between 0 and 1 away."""
    data = at(torch.arange(0, 1, 0.002).unsqueeze(-1))
    _, found = audit(data, Right(), 3, neighbours=1)
    within, edge = found.within[:, 1], found.quantiles[:, 3, 1]
    assert (within < 0.01).all()
    # the edge [3, 4) lies between 0 and 1 from [0, 3): half of it is further out than 0.5
    assert edge.tolist() == pytest.approx([0.5, 0.5], abs=0.12)
    assert (found.beyond > 0.95).all()
    assert found.ratio.tolist() == pytest.approx((edge / within).tolist())


def test_an_edge_that_is_no_further_out_than_the_rest():
    """A policy that stands still: every depth has the data's own states, and the edge is nothing special."""
    data = at(Streams((7,), "states").rand(400, 1)[0])
    _, found = audit(data, Still(), 3, n=100)
    assert found.beyond.tolist() == pytest.approx([0.05, 0.05], abs=0.04)
    assert found.ratio.tolist() == pytest.approx([1.0, 1.0], abs=0.25)
    assert torch.allclose(found.quantiles[:, :1], found.quantiles[:, 3:], rtol=0.3)


def test_a_start_is_not_its_own_neighbour():
    """Lattice points a distance 1 apart: a start's nearest is 1 away, unless it were found itself."""
    data = at(torch.arange(0.0, 400.0).unsqueeze(-1))
    _, found = audit(data, Still(), 1, n=5, neighbours=1)
    assert (found.quantiles[:, 0, 0] >= 1).all()


def test_units_are_the_scale():
    data = at(Streams((7,), "states").rand(200, 1)[0])
    _, a = audit(data, Right(), 2)
    _, b = audit(data, Right(), 2, scale=torch.tensor([0.25]))
    assert torch.allclose(b.quantiles, 4 * a.quantiles, rtol=1e-4)
    assert torch.allclose(b.ratio, a.ratio, rtol=1e-4)


def test_fewer_reference_rows_are_further_apart():
    data = at(Streams((7,), "states").rand(2000, 1)[0])
    _, many = audit(data, Still(), 1)
    _, few = audit(data, Still(), 1, reference_rows=40)
    assert (few.within[:, 1] > 5 * many.within[:, 1]).all()


def test_no_rollout_reaches_the_edge():
    data = at(torch.arange(0, 0.5, 0.0025).unsqueeze(-1))
    _, found = audit(data, Right(), 2, dynamics=Chain(end=1.0))
    assert found.quantiles[:, 2].isnan().all()
    assert found.ratio.isnan().all()
    assert found.beyond.isnan().all()
    assert found.within.isfinite().all()


def test_the_exact_edge_of_the_simple_world_lies_further_out():
    """Straight to the corner: most states of depth 4 are edge-of-reach by definition, a step from the nearest."""

    class Corner:
        def act(self, obs, streams=None):
            return torch.ones_like(obs)

    starts = start_states(500, Streams((3,), "s"))[0]
    data = replace(random_transitions(500, obs_dim=2, action_dim=2), obs=starts, next_obs=starts)
    depths, found = audit(data, Corner(), 4, n=200, dynamics=SimpleWorld("goal"), scale=torch.ones(2))
    exact = edge_of_reach(depths.rows[4].obs, 4).double().mean(-1)
    assert (exact > 0.4).all()
    # most of what is exactly at the edge is beyond 95 % of what updates see, and little else is
    assert (found.beyond - exact).abs().max() < 0.15
    assert (found.ratio > 1.5).all()
