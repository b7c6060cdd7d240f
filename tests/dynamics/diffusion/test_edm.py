"""Each formula against numbers worked out by hand, and against a loop."""

import math

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.dynamics.diffusion import edm

SIGMA = torch.tensor([0.5, 3.0], dtype=torch.float64)


def test_preconditioning_by_hand():
    # sigma = 3, sd = 4: sigma^2 + sd^2 = 25.
    sigma = torch.tensor(3.0, dtype=torch.float64)
    assert float(edm.c_skip(sigma, 4.0)) == pytest.approx(16 / 25)
    assert float(edm.c_out(sigma, 4.0)) == pytest.approx(12 / 5)
    assert float(edm.c_in(sigma, 4.0)) == pytest.approx(1 / 5)
    assert float(edm.loss_weight(sigma, 4.0)) == pytest.approx(25 / 144)
    assert float(edm.c_noise(torch.tensor(math.e**2, dtype=torch.float64))) == pytest.approx(0.5)


def test_preconditioning_keeps_unit_variance():
    # Appendix B.6: inputs and targets of F have variance 1, and its loss weight c_out^2 lambda is 1.
    sd = 0.7
    assert torch.allclose(edm.c_in(SIGMA, sd) ** 2 * (SIGMA**2 + sd**2), torch.ones(2, dtype=torch.float64))
    assert torch.allclose(edm.c_out(SIGMA, sd) ** 2 * edm.loss_weight(SIGMA, sd), torch.ones_like(SIGMA))
    skip = edm.c_skip(SIGMA, sd)
    target = ((1 - skip) ** 2 * sd**2 + skip**2 * SIGMA**2) / edm.c_out(SIGMA, sd) ** 2
    assert torch.allclose(target, torch.ones_like(SIGMA))


def test_training_levels_are_log_normal():
    assert torch.allclose(
        edm.training_sigma(torch.tensor([0.0, 1.0, -1.0])), torch.tensor([-1.2, 0.0, -2.4]).exp()
    )


def test_score_of_a_gaussian():
    # x ~ N(2, 3^2 + sigma^2): score (2 - x) / (9 + sigma^2).
    x, sigma = torch.tensor([1.0, 5.0], dtype=torch.float64), 2.0
    denoised = 2 + edm.c_skip(torch.tensor(sigma), 3.0) * (x - 2)
    assert torch.allclose(edm.score(x, denoised, sigma), (2 - x) / 13.0)


def test_schedule_by_hand():
    # rho 1 is linear; rho 2 linear in the root: 16, 4 -> roots 4, 2 -> 4, 3, 2.
    assert edm.sigma_schedule(3, sigma_min=1.0, sigma_max=5.0, rho=1.0) == pytest.approx([5, 3, 1, 0])
    assert edm.sigma_schedule(3, sigma_min=4.0, sigma_max=16.0, rho=2.0) == pytest.approx([16, 9, 4, 0])


@pytest.mark.parametrize(
    "bad", [{"steps": 1}, {"sigma_min": 0.0}, {"sigma_min": 9.0}, {"rho": 0.0}, {"sigma_max": math.inf}]
)
def test_impossible_schedules(bad):
    with pytest.raises(ConfigError, match="steps >= 2"):
        edm.sigma_schedule(**({"steps": 4, "sigma_min": 0.1, "sigma_max": 8.0, "rho": 7.0} | bad))


def test_churn_is_bounded():
    assert edm.churned_sigma(2.0, 1.0, 10) == pytest.approx(2.2)
    assert edm.churned_sigma(2.0, 1e6, 10) == pytest.approx(2 * math.sqrt(2))
