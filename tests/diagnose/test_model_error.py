"""Models that are wrong by a known amount."""

import math

import pytest
import torch

from mbrl.core.errors import MismatchError
from mbrl.diagnose.model_error import one_step_error, paired_rewards
from tests.diagnose.worlds import SEEDS, Chain, Clipped, LinearGaussian, Right, Steering, at, rolled

K = 3
DATA = at(torch.tensor([[0.0], [2.0], [4.0]]))
SCALE = torch.tensor([0.5])


def starts(data=DATA, n=8):
    return data[torch.arange(2 * n).view(2, n) % len(data)]


class Paying(Chain):
    """Pays the state it leads to, times `times`."""

    def __init__(self, times=1.0, **options):
        super().__init__(**options)
        self.times = times

    def step(self, carry, obs, action, streams, *, members=False):
        found = super().step(carry, obs, action, streams, members=members)
        return found._replace(reward=self.times * found.next_obs[..., 0])


def test_one_step_errors_are_those_put_in():
    depths = rolled(Paying(times=2.0, shift=0.25), Right(), DATA, K, 8, SEEDS)
    found = one_step_error(Paying(), depths, SCALE, K, SEEDS)
    assert found.next_obs.mean.flatten().tolist() == pytest.approx([0.25 / 0.5] * 6)
    for s in range(2):
        # at step t the model stands at start + 1.25 (t - 1), pays twice (that + 1.25), and in truth that + 1
        base = DATA.obs[depths.index[s], 0].mean()
        for t in range(K):
            here = float(base) + 1.25 * t
            assert float(found.reward_bias.mean[s, t]) == pytest.approx(
                2 * (here + 1.25) - (here + 1), rel=1e-5
            )
            assert found.reward.mean[s, t] == found.reward_bias.mean[s, t]
    assert found.terminal.mean.abs().sum() == 0
    assert found.left_out.sum() == 0


def test_the_error_in_several_entries_is_a_root_mean_square():
    class Plane(Chain):
        obs_dim = 2

        def step(self, carry, obs, action, streams, *, members=False):
            found = super().step(carry, obs, action, streams)
            return found._replace(next_obs=obs + torch.tensor(self.off))

    model, truth = Plane(), Plane()
    model.off, truth.off = (0.3, 0.4), (0.0, 0.0)
    depths = rolled(model, Right(), at(torch.zeros(4, 2)), 2, 5, SEEDS)
    found = one_step_error(truth, depths, torch.tensor([1.0, 2.0]), 2, SEEDS)
    by_hand = math.sqrt((0.3**2 + (0.4 / 2) ** 2) / 2)
    assert found.next_obs.mean.flatten().tolist() == pytest.approx([by_hand] * 4)


def test_absolute_and_signed_reward_errors_differ():
    class Alternating(Chain):
        def step(self, carry, obs, action, streams, *, members=False):
            found = super().step(carry, obs, action, streams)
            return found._replace(reward=torch.where(obs[..., 0] % 4 == 0, 1.5, 0.5))

    depths = rolled(Alternating(), Right(), at(torch.tensor([[0.0], [2.0]])), 1, 1000, SEEDS)
    found = one_step_error(Chain(), depths, SCALE, 1, SEEDS)
    assert found.reward.mean.flatten().tolist() == pytest.approx([0.5, 0.5])
    assert (found.reward_bias.mean.abs() < 0.06).all()


def test_ends_that_disagree():
    """The model ends at 3, the truth at 4: from starts 0, 2, 4 the first step agrees for 0 alone."""
    depths = rolled(Chain(end=3.0), Right(), DATA, K, 30, SEEDS)
    found = one_step_error(Chain(end=4.0), depths, SCALE, K, SEEDS)
    for s in range(2):
        first = DATA.obs[depths.index[s], 0]
        assert float(found.terminal.mean[s, 0]) == pytest.approx(float((first == 2).double().mean()))
        # only rollouts from 0 are left; they stand at 1, then at 2
        assert found.terminal.count[s].tolist() == [30, (first == 0).sum(), (first == 0).sum()]
        assert found.terminal.mean[s, 1:].tolist() == [0, 1]


def test_the_truth_itself_has_no_error_and_noise_has_its_own_size():
    depths = rolled(Chain(), Right(), DATA, K, 6, SEEDS)
    exact = one_step_error(Chain(), depths, SCALE, K, SEEDS)
    assert sum(float(f.mean.abs().max()) for f in (exact.next_obs, exact.reward, exact.terminal)) == 0
    noisy = rolled(LinearGaussian(0.3), Steering(), DATA, 2, 4000, SEEDS)
    found = one_step_error(LinearGaussian(0.0), noisy, SCALE, 2, SEEDS)
    # E|N(0, sigma^2)| / scale
    mean = 0.3 * math.sqrt(2 / math.pi) / 0.5
    assert found.next_obs.mean.flatten().tolist() == pytest.approx([mean] * 4, rel=0.05)


def test_rows_that_cannot_be_reconstructed_are_counted_and_left_out():
    data = at(torch.tensor([[0.0], [9.0]]))
    depths = rolled(Chain(shift=0.5), Right(), data, 2, 40, SEEDS)
    found = one_step_error(Clipped(), depths, SCALE, 2, SEEDS)
    high = (data.obs[depths.index, 0] == 9).sum(-1)
    assert found.left_out.tolist() == [[0, n] for n in high.tolist()]
    assert found.next_obs.count.tolist() == [[40, 40 - n] for n in high.tolist()]
    assert found.next_obs.mean.flatten().tolist() == pytest.approx([1.0] * 4)
    nowhere = rolled(Chain(), Right(), at(torch.full((3, 1), 50.0)), 2, 4, SEEDS)
    truth = Clipped()
    assert one_step_error(truth, nowhere, SCALE, 2, SEEDS).reward.mean.isnan().all()
    assert truth.steps == 0


def test_paired_rewards_drift_apart_as_the_states_do():
    found = paired_rewards(Paying(shift=0.25), Paying(), Right(), starts(), K, SEEDS)
    # after t steps the model is 0.25 t ahead, and pays that much more
    for s in range(2):
        assert found.difference.mean[s].tolist() == pytest.approx([0.25, 0.5, 0.75], rel=1e-5)
        assert (found.model.mean - found.true.mean)[s].tolist() == pytest.approx([0.25, 0.5, 0.75], rel=1e-5)
    # the pairs are compared, not the means: what starts differ by does not blur it
    assert (found.difference.error < 1e-6).all()
    assert (found.true.error > 0.3).all()
    assert found.model_alive.mean.tolist() == [[1, 1, 1]] * 2


def test_pairs_count_while_both_are_alive():
    found = paired_rewards(Chain(), Chain(end=2.0), Right(), starts(at(torch.zeros(2, 1))), K, SEEDS)
    assert found.model_alive.mean.tolist() == [[1, 1, 1]] * 2
    assert found.true_alive.mean.tolist() == [[1, 1, 0]] * 2
    assert found.difference.count.tolist() == [[8, 8, 0]] * 2
    assert found.model.count.tolist() == [[8, 8, 8]] * 2


def test_pairs_share_their_action_noise():
    """One model draws noise of its own, the other none: the policies' draws must agree all the same."""

    class Random(Right):
        def act(self, obs, streams=None):
            return streams.randn(*obs.shape[1:])

    class Drawing(Paying):
        def step(self, carry, obs, action, streams, *, members=False):
            streams.randn(3)
            return super().step(carry, obs, action, streams, members=members)

    found = paired_rewards(Drawing(), Paying(), Random(), starts(), K, SEEDS)
    assert found.difference.mean.abs().max() == 0
    assert found.true.error.min() > 0


def test_starts_without_a_state_are_left_out_and_none_at_all_is_an_error():
    found = paired_rewards(
        Chain(pay=3.0), Clipped(), Right(), starts(at(torch.tensor([[1.0], [20.0]]))), K, SEEDS
    )
    assert found.left_out.tolist() == [4, 4]
    for figure in (found.model, found.true, found.difference, found.model_alive):
        assert figure.count.tolist() == [[4] * K] * 2
    assert found.difference.mean.flatten().tolist() == [2.0] * 6
    with pytest.raises(MismatchError, match="no start has a simulator state"):
        paired_rewards(Chain(), Clipped(), Right(), starts(at(torch.full((2, 1), 20.0))), K, SEEDS)
