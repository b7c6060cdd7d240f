"""MOBILE's penalty by hand and by loops."""

import math

import pytest
import torch

from mbrl.agents import MOBILE
from mbrl.agents.mobile import inconsistency
from tests.agents.mobile_cases import Given, linear, mixed, random_prediction, streams
from tests.fakes import Members

double = pytest.mark.usefixtures("double")


def test_inconsistency_by_hand():
    # two members, two samples: means 1 and 4, whose unbiased deviation is 3 / sqrt(2); then means 2 and 2
    values = torch.tensor([[[0.0, 5.0], [2.0, -1.0]], [[3.0, 2.0], [5.0, 2.0]]])
    assert inconsistency(values).tolist() == pytest.approx([3 / math.sqrt(2), 0.0])
    # three members with one sample each: 1, 2, 6 have mean 3 and variance (4 + 1 + 9) / 2
    assert inconsistency(torch.tensor([[[1.0]], [[2.0]], [[6.0]]])).item() == pytest.approx(math.sqrt(7))


def test_inconsistency_is_a_loop_over_members_and_samples():
    values = torch.randn(2, 5, 10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = inconsistency(values)
    for s in range(2):
        for b in range(3):
            means = [sum(values[s, i, m, b].item() for m in range(10)) / 10 for i in range(5)]
            centre = sum(means) / 5
            expected = math.sqrt(sum((x - centre) ** 2 for x in means) / 4)
            assert got[s, b].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("members", [1, 2, 3, 5, 7])
def test_equal_members_are_exactly_consistent_whatever_rounding_does(members):
    one = 100 * torch.randn(2, 1, 10, 500, generator=torch.Generator().manual_seed(1))
    assert (inconsistency(one.expand(-1, members, -1, -1)) == 0).all()


def test_one_member_agrees_with_itself():
    assert inconsistency(torch.tensor([[[1.0], [5.0]]])).tolist() == [0.0]


def test_uncertainty_by_hand_for_linear_values():
    # elites 2 and 0 expect s + 0.6 and s; Q' = s_1 + s_2 + s_3 is the smaller critic everywhere by a constant
    agent = linear(MOBILE(3, 2, hidden=(), model=Members(noise=0.0)), [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    with torch.no_grad():
        agent.targets.net.layers[0].bias[:, 1] = 7.0
    u = agent.uncertainty(mixed(1, 8), streams())
    assert u.shape == (1, 8)
    # values differ by 3 * 0.6 = 1.8, and the unbiased deviation of two numbers is their distance / sqrt(2)
    assert u[0].tolist() == pytest.approx([1.8 / math.sqrt(2)] * 8, rel=1e-4)


@double
def test_uncertainty_is_a_loop_over_rows_elites_and_samples():
    prediction, rows, samples = random_prediction(), 6, 4
    agent = MOBILE(3, 2, seeds=(3, 8), num_critics=3, hidden=(16,), model=Given(prediction), samples=samples)
    with torch.no_grad():
        for p in agent.critics.parameters():  # the targets alone are asked
            p.add_(1.0)
    u = agent.uncertainty(mixed(2, rows), streams((3, 8)))
    again = streams((3, 8))
    noise = again.randn(3, samples, rows, 3).double()
    action_noise = again.randn(1, samples, rows, 2).double()
    for s in range(2):
        for b in range(rows):
            means = []
            for k, i in enumerate(prediction.elites[s].tolist()):
                total = 0.0
                for m in range(samples):
                    mean, std = prediction.mean[s, i, b, :3].double(), prediction.std[s, i, b, :3].double()
                    next_obs = (mean + std * noise[s, k, m, b]).expand(2, 1, 3)
                    action, _ = agent.actor.sample(next_obs, action_noise[s, 0, m, b].expand(2, 1, 2))
                    total += min(agent.targets(next_obs, action)[s, :, 0].tolist())
                means.append(total / samples)
            assert u[s, b].item() == pytest.approx(torch.tensor(means).std().item(), rel=1e-9)


@pytest.mark.parametrize("change", ["reward", "member outside the elites"])
def test_what_the_penalty_does_not_read(change):
    first, second = random_prediction(), random_prediction()
    if change == "reward":
        second.mean[..., -1] += 3.0
        second.std[..., -1] += 3.0
    else:
        second.mean[0, 1] += 3.0
        second.mean[1, 2] += 3.0
    first, second = (
        MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=Given(p)).uncertainty(mixed(2, 6), streams((0, 1)))
        for p in (first, second)
    )
    assert torch.equal(first, second)
    assert (first > 0).all()


def test_each_seed_has_its_own_elites():
    same = random_prediction(elites=((2, 0, 3), (2, 0, 3)))
    other = same._replace(elites=torch.tensor([[2, 0, 3], [1, 0, 3]]))
    a, b = (
        MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=Given(p)).uncertainty(mixed(2, 6), streams((0, 1)))
        for p in (same, other)
    )
    assert torch.equal(a[0], b[0])
    assert (a[1] != b[1]).all()


def test_more_samples_leave_less_noise():
    """Members that agree on a noisy outcome differ by the noise of their sample means alone, 1 / sqrt(M)."""
    batch = mixed(1, 400, real=0)
    few, many = (
        linear(MOBILE(3, 2, hidden=(), model=Members(shift=0.0), samples=m), [[1.0], [1.0]])
        .uncertainty(batch, streams())
        .square()
        .mean()
        .item()
        for m in (1, 100)
    )
    # Q' = s_1 has noise 0.1: variance 0.01 / M
    assert few == pytest.approx(0.01, rel=0.2)
    assert many == pytest.approx(0.0001, rel=0.2)
