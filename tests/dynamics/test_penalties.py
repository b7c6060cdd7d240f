"""Penalties by hand, in rollouts, and gone without a trace where the model has no uncertainty."""

from dataclasses import replace

import pytest
import torch

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import Streams
from mbrl.core.types import Prediction
from mbrl.dynamics import Ensemble
from mbrl.dynamics.penalties import MoreL, RewardPenalty, discrepancy_on
from mbrl.dynamics.uncertainty import MEASURES, max_aleatoric, max_discrepancy
from mbrl.run.rollout import no_penalty, rollout
from tests.fakes import Towards, Walk, random_transitions

PENALTIES = {f"reward by {name}": RewardPenalty(measure, 3.0) for name, measure in MEASURES.items()} | {
    f"morel by {name}": MoreL(0.0, 50.0, measure) for name, measure in MEASURES.items()
}
EVERY = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def prediction(*apart: float, std: float = 0.0) -> Prediction:
    """Two members over one observation and a reward, [1, 2, B, 2], `apart` in the observation of each row."""
    mean = torch.zeros(1, 2, len(apart), 2)
    mean[0, 1, :, 0] = torch.tensor(apart)
    return Prediction(mean, torch.full_like(mean, std), torch.tensor([[0, 1]]))


def flags(*values: bool) -> torch.Tensor:
    return torch.tensor([values])


def test_a_reward_penalty_by_hand():
    penalty = RewardPenalty(max_discrepancy, 0.5)
    reward, terminal = penalty(
        torch.tensor([[1.0, 2.0, 3.0]]), flags(False, True, False), prediction(0, 4, 1)
    )
    assert reward.tolist() == [[1.0, 0.0, 2.5]]
    assert terminal.tolist() == [[False, True, False]]


def test_morel_by_hand():
    penalty = MoreL(threshold=2.0, kappa=50.0)
    reward, terminal = penalty(
        torch.tensor([[1.0, 1.0, 1.0, 1.0]]), flags(False, True, False, True), prediction(0, 2, 2.5, 9)
    )
    assert reward.tolist() == [[1.0, 1.0, -50.0, -50.0]]
    assert terminal.tolist() == [[False, True, True, True]]


def test_morels_threshold_may_differ_between_seeds():
    both = Prediction(*(x.expand(2, *x.shape[1:]) for x in prediction(1, 3)))
    _, terminal = MoreL(torch.tensor([2.0, 0.5]), 1.0)(torch.zeros(2, 2), flags(False, False), both)
    assert terminal.tolist() == [[False, True], [True, True]]


def test_morel_knows_nothing_where_a_member_is_not_finite():
    reward, terminal = MoreL(2.0, 50.0)(torch.zeros(1, 2), flags(False, False), prediction(0, float("nan")))
    assert reward.tolist() == [[0.0, -50.0]]
    assert terminal.tolist() == [[False, True]]


def test_a_penalty_passes_on_what_counts():
    unsure = prediction(0.0, std=2.0)
    for counted, expected in ({}, 8**0.5), ({"dims": "obs"}, 2.0):
        reward, _ = RewardPenalty(max_aleatoric, 1.0, **counted)(torch.zeros(1, 1), flags(False), unsure)
        assert reward.item() == pytest.approx(-expected)
    apart = prediction(3.0)._replace(elites=torch.tensor([[1]]))
    for counted, ends in ({}, True), ({"members": "elites"}, False):
        assert MoreL(1.0, 1.0, **counted)(torch.zeros(1, 1), flags(False), apart)[1].item() is ends


@EVERY
@pytest.mark.parametrize("members", [1, 7])
def test_without_uncertainty_a_penalty_is_exactly_nothing(penalty, members):
    mean = (1e3 * torch.rand(2, 1, 40, 4)).expand(2, members, 40, 4)
    sure = Prediction(mean, torch.zeros_like(mean), torch.arange(members).repeat(2, 1))
    reward, terminal = torch.randn(2, 40), torch.rand(2, 40) < 0.3
    after, ended = penalty(reward, terminal, sure)
    assert torch.equal(after, reward)
    assert torch.equal(ended, terminal)
    assert after.dtype == reward.dtype


@EVERY
def test_with_a_perfect_model_what_is_left_is_the_base_procedure(penalty):
    starts, streams = random_transitions(2, 20), lambda: Streams((0, 1), "r")
    model = Walk(ends=lambda s: s[..., 0] > 1)
    rows, alive = rollout(model, Towards(2.0), starts, 4, streams(), penalty)
    base, base_alive = rollout(model, Towards(2.0), starts, 4, streams(), no_penalty)
    assert torch.equal(alive, base_alive)
    assert not alive.all()
    for name, value in vars(base).items():
        assert value is None or torch.equal(value, getattr(rows, name)), name


def test_a_reward_penalty_is_taken_off_the_sampled_reward_of_every_row():
    starts, streams = random_transitions(2, 20), lambda: Streams((0, 1), "r")
    penalty = RewardPenalty(max_discrepancy, 2.0)
    rows, _ = rollout(Walk(noise=0.3, disagreement=0.5), Towards(), starts, 3, streams(), penalty)
    base, _ = rollout(Walk(noise=0.3), Towards(), starts, 3, streams())
    assert torch.equal(rows.next_obs, base.next_obs)  # the same sample, noise included
    # the two members are 0.5 apart in each of three entries; the reward's does not count
    torch.testing.assert_close(rows.reward, base.reward - 2.0 * 0.75**0.5)
    assert not rows.terminal.any()


def test_a_coefficient_a_seed_is_each_seeds_own_to_the_bit():
    reward, apart = (
        torch.randn(3, 4),
        Walk(disagreement=0.3)._prediction(torch.randn(3, 4, 3), torch.randn(3, 4)),
    )
    stacked, _ = RewardPenalty(max_discrepancy, [0.1, 0.0, 2.5])(reward, torch.zeros(3, 4).bool(), apart)
    for place, coefficient in enumerate((0.1, 0.0, 2.5)):
        one = Prediction(*(x[place : place + 1] for x in apart))
        alone, _ = RewardPenalty(max_discrepancy, coefficient)(
            reward[place : place + 1], torch.zeros(1, 4).bool(), one
        )
        assert torch.equal(stacked[place], alone[0])
        assert torch.equal(alone[0], reward[place] - coefficient * max_discrepancy(one)[0])


class Frontier(Walk):
    """Two members that agree up to s_0 = 1 and are as far apart as s_0 beyond it."""

    def _prediction(self, next_obs, reward):
        sure = super()._prediction(next_obs, reward)
        mean = sure.mean.clone()
        mean[..., 1, :, 0] += torch.where(next_obs[..., 0] > 1, next_obs[..., 0], 0.0)
        return sure._replace(mean=mean)


def test_morel_ends_a_rollout_where_it_leaves_what_is_known():
    class Steady(Towards):
        def act(self, obs, streams=None):
            return torch.tensor([0.5, 0.0]).expand(*obs.shape[:-1], 2)

    # from 0.25 and 0.75 the third and the second step cross 1; from -9 none does
    start = torch.zeros(1, 3, 3)
    start[0, :, 0] = torch.tensor([0.25, 0.75, -9.0])
    begin = replace(random_transitions(1, 3), obs=start)
    rows, alive = rollout(Frontier(), Steady(), begin, 4, Streams((0,), "r"), MoreL(1.0, 50.0))
    by_step = [x.view(4, 3).T.tolist() for x in (alive[0], rows.terminal[0] & alive[0], rows.reward[0])]
    living, ended, reward = by_step
    assert living == [[True, True, False, False], [True, False, False, False], [True] * 4]
    assert ended == [[False, True, False, False], [True, False, False, False], [False] * 4]
    assert reward[0][:2] == [-(0.75**2), -50.0]
    assert reward[1][0] == -50.0
    assert reward[2] == [-(8.5**2), -(8.0**2), -(7.5**2), -(7.0**2)]


def small_ensemble(seeds=(0,)) -> Ensemble:
    sizes = {"members": 4, "elites": 2, "hidden": (8,), "weight_decay": (0.0, 0.0)}
    return Ensemble(3, 2, seeds=seeds, **sizes)


@pytest.mark.parametrize("counted", [{}, {"members": "elites", "dims": "obs_reward"}], ids=str)
def test_discrepancy_on_data_is_the_measure_at_its_own_rows(counted):
    data, model = random_transitions(37), small_ensemble((3, 5))
    found = discrepancy_on(model, data, seeds=(3, 5), chunk=10, **counted)
    assert found.shape == (2, 37)
    for i in range(37):
        obs, action = (x[i].expand(2, 1, -1) for x in (data.obs, data.action))
        expected = max_discrepancy(model.predict(obs, action), **counted)
        torch.testing.assert_close(found[:, i : i + 1], expected)
    assert torch.equal(found, discrepancy_on(model, data, seeds=(3, 5), chunk=10, **counted))
    torch.testing.assert_close(found, discrepancy_on(model, data, seeds=(3, 5), **counted))


def test_discrepancy_on_data_does_not_compare_predictions_at_different_rows():
    # Members that agree everywhere, on data that is spread out: the data's own spread is no disagreement.
    data = replace(random_transitions(30), obs=100 * torch.randn(30, 3))
    assert (discrepancy_on(Walk(), data) == 0).all()
    assert discrepancy_on(Walk(disagreement=0.5), data).max().item() == pytest.approx(0.75**0.5, abs=1e-4)


class OneMember(Walk):
    """The truth: one member, without noise; its calls are counted, and so is the simulator state it is given."""

    calls = 0

    def begin(self, obs, sim_state=None):
        self.calls, self.state = self.calls + 1, sim_state
        return 0

    def _prediction(self, next_obs, reward):
        mean = torch.cat([next_obs, reward.unsqueeze(-1)], dim=-1).unsqueeze(-3)
        return Prediction(mean, torch.zeros_like(mean), torch.zeros(len(mean), 1, dtype=torch.long))


def test_a_model_that_has_to_be_stepped_is_given_the_simulators_state_and_the_truth_is_asked_once():
    data = random_transitions(37)
    data = replace(data, sim_state=data.obs.double())
    model = OneMember()
    assert torch.equal(discrepancy_on(model, data, seeds=(0, 1), chunk=10), torch.zeros(2, 37))
    assert model.calls == 1
    assert torch.equal(model.state[1], data.sim_state[:10])


def test_predictions_that_are_not_finite_give_no_threshold():
    class Broken(Walk):
        def _prediction(self, next_obs, reward):
            return super()._prediction(next_obs * float("inf"), reward)

    with pytest.raises(DivergenceError, match="predictions on the dataset are not all finite"):
        discrepancy_on(Broken(), random_transitions(5))


@pytest.mark.parametrize("coefficient", [-1.0, float("nan"), (1.0, -1.0)])
def test_a_reward_for_uncertainty_is_refused(coefficient):
    with pytest.raises(ConfigError, match="coefficient=.*at least 0"):
        RewardPenalty(max_aleatoric, coefficient)


def test_nothing_is_changed_in_place():
    reward, terminal, apart = torch.ones(1, 2), flags(False, False), prediction(5, 6)
    copies = [x.clone() for x in (reward, terminal, apart.mean)]
    for penalty in PENALTIES.values():
        penalty(reward, terminal, apart)
    assert all(torch.equal(x, y) for x, y in zip(copies, (reward, terminal, apart.mean), strict=True))
