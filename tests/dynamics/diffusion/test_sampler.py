"""The sampler on Gaussian data, whose denoiser, score and samples are known in closed form."""

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.dynamics.diffusion.sampler import Sampler, sample, step

MEAN, STD = 0.5, 1.3
MASK = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)


def denoise(x, sigma):
    return (MEAN + STD**2 / (STD**2 + sigma**2) * (x - MEAN)) * MASK


def draw(n=4000, seeds=(0,), **options):
    streams = Streams(seeds, "test")
    return sample(denoise, n, MASK, streams, Sampler(**options), dtype=torch.float64)


def flowed(x):
    """Where the flow takes x at sigma 80: the same multiple of the deviation, off the same mean."""
    return MEAN + (x - MEAN) * STD / (STD**2 + 80.0**2) ** 0.5


@pytest.mark.parametrize(("order", "steps", "tolerance"), [(1, 1500, 0.01), (2, 400, 0.001)])
def test_both_orders_converge_to_the_flow(order, steps, tolerance):
    start = 80 * Streams((0,), "test").randn(50, 1, 3, dtype=torch.float64) * MASK
    got = draw(50, order=order, steps=steps)
    assert torch.allclose(got[..., :2], flowed(start)[..., :2], atol=tolerance)


def test_the_error_falls_by_the_order():
    def error(order, steps):
        start = 80 * Streams((0,), "test").randn(50, 1, 3, dtype=torch.float64)
        return float((draw(50, order=order, steps=steps) - flowed(start))[..., :2].abs().max())

    assert error(1, 160) / error(1, 320) == pytest.approx(2, rel=0.2)
    assert error(2, 80) / error(2, 160) == pytest.approx(4, rel=0.3)


@pytest.mark.parametrize("options", [{"steps": 32}, {"churn": 30.0, "steps": 64}, {"order": 1, "steps": 200}])
def test_sample_moments(options):
    x = draw(40_000, **options)[..., :2]
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(x.std()) == pytest.approx(STD, rel=0.02)


def test_churn_starts_from_the_churned_sample():
    # One churned level by hand: x_hat first, then slope and step both from x_hat (EDM generate.py:52).
    sampler = Sampler(steps=2, order=1, churn=10.0, churn_min=1.0)
    level = 80 * 2**0.5
    streams = Streams((3,), "test")
    x = 80 * streams.randn(5, 1, 3, dtype=torch.float64) * MASK
    hat = x + (level**2 - 80**2) ** 0.5 * streams.randn(5, 1, 3, dtype=torch.float64) * MASK
    for sigma, after in ((level, 0.002), (0.002, 0.0)):
        hat = hat + (after - sigma) * (hat - denoise(hat, sigma)) / sigma
    got = sample(denoise, 5, MASK, Streams((3,), "test"), sampler, dtype=torch.float64)
    assert torch.allclose(got, hat, atol=1e-12)
    assert not torch.allclose(got, draw(5, (3,), steps=2, order=1))


def test_heun_step_by_hand():
    # D = x / 2: slope x / 2; from sigma 1 to 0.5, x = 4: euler 3, its slope 3 / 2 / 0.5 = 3; 4 - 0.5 * 2.5.
    half = lambda x, sigma: x / 2  # noqa: E731
    x = torch.tensor([4.0])
    assert float(step(half, x, 1.0, 0.5, 2)) == pytest.approx(2.75)
    assert float(step(half, x, 1.0, 0.5, 1)) == pytest.approx(3.0)
    assert float(step(half, x, 1.0, 0.0, 2)) == pytest.approx(2.0)


@pytest.mark.parametrize("churn", [0.0, 5.0])
def test_chunks_change_nothing(churn):
    whole = draw(10, (0, 1), churn=churn)
    assert torch.allclose(draw(10, (0, 1), churn=churn, chunk=3), whole, atol=1e-12)


def test_a_seed_is_the_same_in_any_stack():
    both = draw(10, (4, 7), churn=5.0)
    assert torch.allclose(draw(10, (7,), churn=5.0)[0], both[1], atol=1e-12)
    assert not torch.allclose(both[0], both[1])


def test_same_seed_same_bits_and_zero_outside_the_mask():
    x = draw(10)
    assert torch.equal(x, draw(10))
    assert not x[..., 2].any()


def test_the_denoiser_is_asked_as_often_as_stated():
    for order in (1, 2):
        calls = []

        def counted(x, sigma, calls=calls):
            calls.append(sigma)
            return denoise(x, sigma)

        sampler = Sampler(steps=7, order=order)
        sample(counted, 2, MASK, Streams((0,), "t"), sampler, dtype=torch.float64)
        assert len(calls) == sampler.evaluations()


@pytest.mark.parametrize("bad", [{"order": 3}, {"steps": 1}, {"churn": -1.0}, {"chunk": 0}])
def test_impossible_options(bad):
    with pytest.raises(ConfigError, match="sampler"):
        Sampler(**bad)
