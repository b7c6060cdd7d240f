"""Rollouts by depth on a chain, where the state says its depth; and which of them the truth can start from."""

from dataclasses import replace

import pytest
import torch

from mbrl.diagnose.depths import at_data, draw_starts, locate, others
from mbrl.dynamics.uncertainty import MEASURES
from tests.diagnose.worlds import SEEDS, Chain, Clipped, Right, at, rolled
from tests.fakes import Walk, random_transitions

ZEROS = at(torch.zeros(7, 1))


def test_the_state_at_depth_d_is_d():
    depths = rolled(Chain(), Right(), ZEROS, 3, 5, SEEDS)
    assert depths.horizon == 3
    for d, (rows, alive) in enumerate(zip(depths.rows, depths.alive, strict=True)):
        assert rows.obs.unique().tolist() == [d]
        assert rows.next_obs.unique().tolist() == [d + 1]
        assert alive.all()
        assert alive.shape == (2, 5)


def test_rows_start_at_the_indexed_rows_of_the_data():
    data = replace(random_transitions(20), sim_state=torch.arange(20.0, dtype=torch.float64).unsqueeze(-1))
    depths = rolled(Walk(), Right2(), data, 2, 6, SEEDS)
    assert torch.equal(depths.rows[0].obs, data.obs[depths.index])
    # the model carries no state of its own: only that of the data is known
    assert torch.equal(depths.rows[0].sim_state, data.sim_state[depths.index])
    assert depths.rows[1].sim_state is None


class Right2:
    def act(self, obs, streams=None):
        return torch.tensor([1.0, 0.0]).expand(*obs.shape[:-1], 2)


def test_ended_rollouts_are_void_from_there_on():
    depths = rolled(Chain(end=2.0), Right(), ZEROS, 3, 5, SEEDS)
    assert [bool(alive.all()) for alive in depths.alive] == [True, True, False, False]
    assert not depths.alive[2].any()


def test_uncertainty_is_that_of_the_prediction_at_each_row():
    depths = rolled(Walk(disagreement=0.3), Right2(), random_transitions(9), 2, 4, SEEDS)
    assert set(depths.uncertainty) == set(MEASURES)
    for u in depths.uncertainty["max_discrepancy"]:
        assert u.shape == (2, 4)
        assert u.flatten().tolist() == pytest.approx([0.3 * 3**0.5] * 8, rel=1e-5)
    exact = rolled(Chain(), Right(), ZEROS, 2, 4, SEEDS)
    assert all(float(x.abs().max()) == 0.0 for u in exact.uncertainty.values() for x in u)


def test_a_seed_draws_the_same_alone_and_in_a_stack():
    data = random_transitions(30)
    both, alone = (rolled(Walk(noise=0.2), Right2(), data, 2, 6, seeds) for seeds in ((3, 5), (5,)))
    assert torch.equal(both.index[1:], alone.index)
    for a, b in zip(both.rows, alone.rows, strict=True):
        assert torch.equal(a.next_obs[1:], b.next_obs)


def test_without_rollouts_there_is_depth_0_alone():
    depths = at_data(Right(), ZEROS, torch.zeros(2, 4, dtype=torch.int64), SEEDS)
    assert depths.horizon == 0
    assert depths.alive[0].all()
    assert depths.rows[0].action.unique().tolist() == [1.0]


def test_starts_are_allowed_rows_and_others_are_allowed_rows_besides_them():
    allowed = torch.arange(10, 40)
    index = draw_starts(allowed, 12, SEEDS)
    assert index.shape == (2, 12)
    assert index.min() >= 10
    rest = others(allowed, index, 100, SEEDS)
    # at most 12 of 30 rows are taken, so 18 are left to every seed
    assert rest.shape == (2, 18)
    assert torch.isin(rest, allowed).all()
    for own, other in zip(index, rest, strict=True):
        assert not torch.isin(other, own).any()
        assert len(other.unique()) == 18
    assert others(allowed, index, 5, SEEDS).shape == (2, 5)
    assert others(allowed[:12], index, 5, SEEDS).shape == (2, 0)
    assert torch.equal(others(allowed, index[1:], 9, SEEDS[1:]), others(allowed, index, 9, SEEDS)[1:])


def rows_at(states):
    """Rows [S, B] of a chain at these states."""
    obs = torch.tensor(states).unsqueeze(-1)
    return replace(random_transitions(*obs.shape[:2], obs_dim=1, action_dim=1), obs=obs, next_obs=obs)


def test_unknown_and_void_rows_are_replaced_by_one_that_is_known():
    rows = rows_at([[12.0, 1.0, 2.0], [3.0, 11.0, 4.0]])
    alive = torch.tensor([[True, True, True], [True, True, False]])
    fixed, known = locate(Clipped(), rows, alive)
    assert known.tolist() == [[False, True, True], [True, False, False]]
    assert fixed.obs[..., 0].tolist() == [[1.0, 1.0, 2.0], [3.0, 3.0, 3.0]]
    assert torch.equal(fixed.action[0, 0], rows.action[0, 1])


def test_a_seed_without_a_known_row_borrows_one_and_none_at_all_changes_nothing():
    alive = torch.ones(2, 2, dtype=torch.bool)
    fixed, known = locate(Clipped(), rows_at([[20.0, 20.0], [20.0, 5.0]]), alive)
    assert known.tolist() == [[False, False], [False, True]]
    assert fixed.obs.unique().tolist() == [5.0]
    rows = rows_at([[20.0, 20.0], [20.0, 20.0]])
    fixed, known = locate(Clipped(), rows, alive)
    assert fixed is rows
    assert not known.any()


def test_a_recorded_state_is_known_and_so_is_an_observation_that_is_a_state():
    rows, alive = rows_at([[20.0, 1.0], [1.0, 20.0]]), torch.ones(2, 2, dtype=torch.bool)
    assert locate(Clipped(), replace(rows, sim_state=rows.obs.double()), alive)[1].all()
    assert locate(Chain(), rows, alive)[1].all()
