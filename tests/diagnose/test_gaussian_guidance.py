"""The quadrature against closed forms that need none."""

from dataclasses import replace

import numpy as np
import pytest

from mbrl.diagnose.gaussian_guidance import LINES, Gaussians, flow, noisy, posterior, product, unguided

CASE = Gaussians(mean=0.3, std=0.8, policy_mean=-0.5, policy_std=0.4, weight=0.7, sd=0.8)


def test_product_by_hand():
    # Precisions 1/4 and 3 / 1: mean (0 / 4 + 3 * 2) / 3.25, variance 1 / 3.25.
    mean, std = product(Gaussians(mean=0.0, std=2.0, policy_mean=2.0, policy_std=1.0, weight=3.0))
    assert mean == pytest.approx(6 / 3.25)
    assert std == pytest.approx(3.25**-0.5)


def test_product_against_a_grid():
    x = np.linspace(-6, 6, 200_001)
    log = -0.5 * ((x - 0.3) / 0.8) ** 2 - 0.7 * 0.5 * ((x + 0.5) / 0.4) ** 2
    weight = np.exp(log) / np.exp(log).sum()
    mean = (weight * x).sum()
    assert product(CASE) == pytest.approx((mean, (weight * (x - mean) ** 2).sum() ** 0.5), abs=1e-6)


def test_unguided_flow_is_the_data():
    # From N(0, sigma_max^2) rather than N(m, c^2 + sigma_max^2): both moments fall short by a little.
    mean, std = flow(CASE, unguided)
    kept = 0.8 / (0.8**2 + 80.0**2) ** 0.5
    assert mean == pytest.approx(0.3 * (1 - kept), abs=1e-5)
    assert std == pytest.approx(80.0 * kept, abs=1e-5)


@pytest.mark.parametrize("name", sorted(LINES))
def test_without_weight_all_guides_are_unguided(name):
    case = replace(CASE, weight=0.0)
    assert flow(case, LINES[name]) == pytest.approx(flow(case, unguided), abs=1e-12)


@pytest.mark.parametrize("weight", [0.1, 1.0, 5.0])
def test_posterior_is_the_product(weight):
    case = replace(CASE, weight=weight)
    mean, std = product(case)
    got = flow(case, posterior)
    # All that is left is the start: a share std / 80 of the mean.
    assert got[0] == pytest.approx(mean * (1 - std / 80), abs=2e-5)
    assert got[1] == pytest.approx(std, abs=1e-4)


def test_noisy_guide_by_its_closed_form():
    # F(max) = c / sqrt(c^2 + max^2) exp(-lambda max^2 / (2 s^2)), to the small terms in sigma_min.
    _, std = flow(replace(CASE, weight=0.02), noisy, sigma_max=2.0)
    want = 2.0 * 0.8 / (0.8**2 + 4.0) ** 0.5 * np.exp(-0.02 * 4.0 / (2 * 0.4**2))
    assert std == pytest.approx(want, rel=1e-4)


def test_only_the_guides_of_the_posterior_keep_the_spread():
    std = {name: flow(replace(CASE, weight=1.0), line)[1] for name, line in LINES.items()}
    want = product(replace(CASE, weight=1.0))[1]
    assert all(std[name] == pytest.approx(want, rel=1e-3) for name in ("posterior", "jacobian", "conjugate"))
    assert all(std[name] < 0.1 * want for name in ("noisy", "denoised", "noise_aware"))


def test_collapse_by_the_closed_forms_of_the_document():
    # docs/diffusion_guidance.md: std c (c / max)^(lambda c^2 / s^2) and c (s / max)^lambda.
    case = Gaussians(mean=0.0, std=0.9, policy_std=0.5, weight=0.2)
    assert flow(case, LINES["denoised"])[1] == pytest.approx(
        0.9 * (0.9 / 80) ** (0.2 * 0.81 / 0.25), rel=1e-3
    )
    assert flow(case, LINES["noise_aware"])[1] == pytest.approx(0.9 * (0.5 / 80) ** 0.2, rel=1e-3)
