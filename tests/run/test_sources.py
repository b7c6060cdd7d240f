"""Model rollouts as a source: starts come from the data, uniformly and by each seed's own stream."""

from dataclasses import replace

import pytest
import torch

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.run.sources import ModelRollouts
from tests.fakes import Towards, Walk, random_transitions


def test_it_draws_n_rollouts_a_seed_from_states_of_the_data():
    data = random_transitions(40)
    rows, alive = ModelRollouts(Walk(), data, horizon=3).draw(Towards(), 200, Streams((0, 1), "s"))
    assert rows.obs.shape == (2, 600, 3)
    assert alive.all()
    first = rows[rows.step == 1].obs
    assert len(first) == 400
    found = (first.unsqueeze(1) == data.obs).all(-1)
    assert (found.sum(1) == 1).all()
    assert found.any(0).all()  # every state of the data is a start sooner or later


def test_seeds_start_from_different_states_and_alike_alone_or_stacked():
    data = random_transitions(40)
    source = ModelRollouts(Walk(noise=0.1), data, horizon=2)
    rows, _ = source.draw(Towards(), 10, Streams((3, 4), "s"))
    alone, _ = source.draw(Towards(), 10, Streams((4,), "s"))
    assert not torch.equal(rows.obs[0], rows.obs[1])
    assert torch.equal(rows.next_obs[1], alone.next_obs[0])


def test_the_simulators_state_is_that_of_the_start():
    class Stateful(Walk):
        def begin(self, obs, sim_state=None):
            assert torch.equal(sim_state, 2 * obs.double())
            return 0

    data = random_transitions(40)
    data = replace(data, sim_state=2 * data.obs.double())
    ModelRollouts(Stateful(), data, horizon=2).draw(Towards(), 10, Streams((0, 1), "s"))


def test_its_penalty_is_applied():
    def penalty(reward, terminal, prediction):
        return torch.full_like(reward, -7.0), ~terminal

    rows, alive = ModelRollouts(Walk(), random_transitions(9), horizon=2, penalty=penalty).draw(
        Towards(), 5, Streams((0,), "s")
    )
    assert rows.reward.unique().tolist() == [-7.0]
    assert alive.tolist() == [[True] * 5 + [False] * 5]


def test_a_rollout_without_steps_is_refused():
    with pytest.raises(ConfigError, match="horizon=0: a rollout has at least 1 step"):
        ModelRollouts(Walk(), random_transitions(9), horizon=0)


class Counted(Walk):
    """Walk whose simulator state is (steps taken) as one number, 0 at the start."""

    def begin(self, obs, sim_state=None):
        return torch.zeros(*obs.shape[:-1], 1, dtype=torch.float64)

    def sim_state(self, carry):
        return carry


def test_rows_carry_the_simulators_state_at_their_obs_if_asked_to():
    model = Counted(ends=lambda next_obs: next_obs[..., 0] > 0.5)
    rows, alive = ModelRollouts(model, random_transitions(40), horizon=4, keep_state=True).draw(
        Towards(3.0), 50, Streams((0, 1), "s")
    )
    assert rows.sim_state.dtype == torch.float64
    assert not alive.all()
    assert torch.equal(rows.sim_state[..., 0][alive], rows.step[alive].double() - 1)
    assert (rows.sim_state[..., 0][~alive] == 0).all()  # void rows stand at their start, obs and state alike


def test_a_model_without_a_simulator_has_no_state_to_keep():
    with pytest.raises(MismatchError, match="Walk carries no simulator state"):
        ModelRollouts(Walk(), random_transitions(9), horizon=2, keep_state=True).draw(
            Towards(), 5, Streams((0,), "s")
        )


def test_dropping_the_last_step_leaves_what_a_shorter_horizon_gives():
    data, model = random_transitions(40), Walk(ends=lambda next_obs: next_obs[..., 0] > 0.5)
    rows, alive = ModelRollouts(model, data, horizon=4, drop_last=True).draw(
        Towards(), 30, Streams((0,), "s")
    )
    shorter, living = ModelRollouts(model, data, horizon=3).draw(Towards(), 30, Streams((0,), "s"))
    assert rows.step[alive].max() == 3
    assert torch.equal(alive[:, :90], living)
    assert torch.equal(rows.next_obs[:, :90], shorter.next_obs)


def test_dropping_the_only_step_is_refused():
    with pytest.raises(ConfigError, match="horizon of 2 or more"):
        ModelRollouts(Walk(), random_transitions(9), horizon=1, drop_last=True)


def test_an_oracle_records_values_at_the_successors_of_the_last_step_alone():
    class Oracle:
        def value(self, policy, batch, where, streams):
            return batch.next_obs.sum(-1).double()

    model = Walk(ends=lambda next_obs: next_obs[..., 0] > 0.5)
    source = ModelRollouts(model, random_transitions(40), horizon=3, oracle=Oracle())
    rows, alive = source.draw(Towards(), 50, Streams((0, 1), "s"))
    edge = alive & (rows.step == 3) & ~rows.terminal
    assert 0 < edge.sum() < 100
    assert torch.equal(rows.next_value.isfinite(), edge)
    assert torch.equal(rows.next_value[edge], rows.next_obs.sum(-1)[edge])
