"""Gaussian data, Gaussian policy: samples against the product p * pi^lambda, and against each guide's own flow.

The sampler's map from noise to actions is then affine, so that a few samples give the moments of all.
"""

import pytest
import torch

from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.diagnose.gaussian_guidance import LINES, Gaussians, flow, product
from mbrl.diagnose.gaussian_samples import UNIT, GaussianModel, GaussianPolicy, affine, led, sampled
from mbrl.dynamics.diffusion.source import Coda
from tests.dynamics.diffusion.worlds import PAIR

DOUBLE = torch.float64
ONE = Layout((1,), (1,))


def tensor(values):
    return torch.tensor(values, dtype=DOUBLE)


def moments(case: Gaussians, guide: str, **sampler: float):
    return sampled(case, guide, **{"steps": 100, **sampler})


def one(case: Gaussians, guide: str, **sampler: float) -> Coda:
    model = GaussianModel(ONE, tensor([case.mean]), tensor([[case.std**2]]))
    return Coda(model, weight=case.weight, guide=guide, **{"churn": 0.0, **sampler})


@pytest.mark.parametrize("weight", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("guide", ["posterior", "jacobian", "conjugate"])
def test_the_product_is_sampled(guide, weight):
    case = Gaussians(weight=weight, mean=-0.2)
    # The start, of mean 0 rather than the product's, costs the mean a share std / 80 of itself.
    assert moments(case, guide) == pytest.approx(product(case), rel=0.005, abs=0.005)


@pytest.mark.parametrize("guide", ["denoised", "noise_aware", "posterior", "jacobian"])
@pytest.mark.parametrize(("weight", "std"), [(0.05, 1.0), (0.3, 1.3), (0.3, 0.6)])
def test_measured_bias_is_the_derived_one(guide, weight, std):
    case = Gaussians(weight=weight, std=std, policy_std=0.8)
    assert moments(case, guide, steps=300) == pytest.approx(flow(case, LINES[guide]), rel=0.02, abs=0.003)


def test_moments_of_many_samples():
    case = Gaussians(weight=0.5)
    x = one(case, "posterior", steps=50).segments(led(case), 40_000, Streams((1,), "test"))[0, :, 0, 1]
    assert (float(x.mean()), float(x.std())) == pytest.approx(product(case), abs=0.01)


def test_the_noisy_guide_ends_in_a_point():
    # From sigma 2 its steps can follow its flow, and its collapse is seen; from 80 they overshoot without bound.
    case = Gaussians(weight=0.3)
    want = flow(case, LINES["noisy"], sigma_max=2.0)
    assert moments(case, "noisy", sigma_max=2.0) == pytest.approx(want, abs=0.003)
    assert want[1] < 0.2 * product(case)[1]
    wild = one(case, "noisy", steps=16).segments(led(case), 10, Streams((0,), "test"))[0, :, 0, 1]
    assert float(wild.abs().max()) > 1e3


def test_jacobians_know_the_datas_own_deviation():
    case = Gaussians(weight=0.5, std=0.4)
    want = product(case)
    assert moments(case, "jacobian") == pytest.approx(want, abs=0.003)
    assert moments(case, "posterior")[0] > 1.2 * want[0]


def correlated(guide, rho=0.8):
    """Moments of two agents' actions, correlated in the data and led to (0.5, -0.5), and those of the product."""
    cov = tensor([[1.0, rho], [rho, 1.0]])
    policy = GaussianPolicy(UNIT * tensor([[[0.5], [-0.5]]]), UNIT * 0.6)
    coda = Coda(GaussianModel(PAIR, torch.zeros(2, dtype=DOUBLE), cov), guide=guide, steps=100, churn=0.0)
    precision = torch.linalg.inv(cov) + torch.eye(2, dtype=DOUBLE) / 0.36
    mean = torch.linalg.solve(precision, tensor([0.5, -0.5]) / 0.36)
    got_mean, got_cov, bend = affine(coda, policy)
    assert bend < 1e-6
    return got_mean, got_cov, mean, torch.linalg.inv(precision)


def test_correlated_actions_need_the_denoisers_jacobian():
    mean, cov, want_mean, want_cov = correlated("conjugate")
    assert torch.allclose(mean, want_mean, atol=0.003)
    assert torch.allclose(cov, want_cov, atol=0.003)
    # Along the axis (1, -1), of variance 0.2 where the guide takes it for 1, the mean goes too far.
    mean, _, want_mean, _ = correlated("posterior")
    assert float(mean[0]) > 1.3 * float(want_mean[0])


def test_posterior_by_axis_is_as_derived():
    mean, cov, _, _ = correlated("posterior")
    axis = tensor([1.0, -1.0]) / 2**0.5
    case = Gaussians(policy_mean=0.5 * 2**0.5, policy_std=0.6, std=0.2**0.5)
    got = float(axis @ mean), float(axis @ cov @ axis) ** 0.5
    assert got == pytest.approx(flow(case, LINES["posterior"]), abs=0.002)


@pytest.mark.parametrize("guide", ["posterior", "conjugate"])
def test_both_orders_agree(guide):
    case = Gaussians(weight=0.5)
    second = moments(case, guide)
    assert moments(case, guide, order=1, steps=400) == pytest.approx(second, abs=0.01)


def test_churn_keeps_the_product():
    case = Gaussians(weight=0.5)
    coda = one(case, "posterior", steps=64, churn=30.0)
    x = coda.segments(led(case), 20_000, Streams((0,), "test"))[0, :, 0, 1]
    assert (float(x.mean()), float(x.std())) == pytest.approx(product(case), abs=0.02)


def test_no_weight_is_unguided_bit_for_bit():
    model = GaussianModel(PAIR, torch.zeros(2, dtype=DOUBLE), torch.eye(2, dtype=DOUBLE))
    policy = GaussianPolicy(torch.zeros(1, 2, 1, dtype=DOUBLE), 0.5)
    free = Coda(model, weight=0.0).segments(None, 50, Streams((0,), "t"))
    for guide in LINES:
        same = Coda(model, weight=0.0, guide=guide, normalise=True).segments(policy, 50, Streams((0,), "t"))
        assert torch.equal(same, free)
    assert policy.calls == 0
