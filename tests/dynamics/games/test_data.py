"""Data distributions: supports, moments, and what is refused."""

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.dynamics.games.data import DATA, reflect, sample_actions

ROWS = 20_000


@pytest.mark.parametrize("agents", [2, 3])
@pytest.mark.parametrize("data", list(DATA))
def test_every_distribution_stays_in_the_bounds_and_repeats(data, agents):
    x = sample_actions(data, 500, agents, 3)
    assert x.shape == (500, agents, 1)
    assert x.dtype == torch.float32
    assert x.abs().max() <= 1
    assert torch.equal(x, sample_actions(data, 500, agents, 3))
    assert not torch.equal(x, sample_actions(data, 500, agents, 4))


def test_uniform_has_its_moments():
    x = sample_actions("uniform", ROWS, 2, 0, low=-0.5, high=1.0).squeeze(-1)
    torch.testing.assert_close(x.mean(0), torch.full((2,), 0.25), atol=0.02, rtol=0)
    torch.testing.assert_close(x.std(0), torch.full((2,), 1.5 / 12**0.5), atol=0.02, rtol=0)
    assert x.min() >= -0.5


@pytest.mark.parametrize(
    ("signs", "agents", "wanted"), [("+-", 2, [1, -1]), ("-", 2, [-1, -1]), ("+-", 3, [1, -1, 1])]
)
def test_a_quadrant_has_the_named_signs(signs, agents, wanted):
    x = sample_actions("quadrant", 500, agents, 0, signs=signs).squeeze(-1)
    assert bool((x * torch.tensor(wanted) >= 0).all())


@pytest.mark.parametrize(("data", "sign"), [("correlated", 1.0), ("anti_correlated", -1.0)])
def test_lines_have_their_noise(data, sign):
    x = sample_actions(data, ROWS, 2, 0, std=0.1).squeeze(-1)
    inner = x[(x[:, 0] + sign * x[:, 1]).abs() < 1.2]  # along the line: independent of the noise across it
    off = inner[:, 0] - sign * inner[:, 1]
    assert off.std().item() == pytest.approx(0.1 * 2**0.5, rel=0.05)
    assert torch.corrcoef(x.T)[0, 1].item() * sign > 0.9


def test_gaussian_is_around_its_point():
    x = sample_actions("gaussian", ROWS, 2, 0, center=[0.2, -0.3], std=0.1).squeeze(-1)
    torch.testing.assert_close(x.mean(0), torch.tensor([0.2, -0.3]), atol=0.01, rtol=0)
    torch.testing.assert_close(x.std(0), torch.full((2,), 0.1), atol=0.01, rtol=0)


def test_a_mixture_has_its_shares():
    x = sample_actions("mixture", ROWS, 2, 0).squeeze(-1)
    share = ((x[:, 0] > 0) & (x[:, 1] < 0)).double().mean().item()
    assert share == pytest.approx(0.5 + 0.5 / 4, abs=0.01)
    parts = [(1, "gaussian", {"center": -1, "std": 0.01}), (3, "gaussian", {"center": 1, "std": 0.01})]
    low = (sample_actions("mixture", ROWS, 2, 0, parts=parts) < 0).double().mean().item()
    assert low == pytest.approx(0.25, abs=0.02)


def test_reflection_by_hand():
    x = torch.tensor([-2.5, -1.25, -1.0, 0.3, 1.0, 1.25, 3.5])
    torch.testing.assert_close(reflect(x), torch.tensor([0.5, -0.75, -1.0, 0.3, 1.0, 0.75, -0.5]))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("unifrom", {}, "unknown data distribution 'unifrom'; did you mean 'uniform'"),
        ("uniform", {"low": 1.0, "high": 0.0}, "needs -1 <= low < high <= 1"),
        ("uniform", {"lwo": 0}, "data uniform does not take"),
        ("quadrant", {"signs": "+0"}, "write one [+] or - an agent"),
        ("quadrant", {"signs": "+-+"}, "write one [+] or - an agent"),
        ("correlated", {"std": 0.0}, "std=0.0, must be greater than 0"),
        ("gaussian", {"center": [0.0]}, "needs 2 numbers"),
        ("gaussian", {"center": 2.0}, r"in \[-1, 1\]"),
        ("mixture", {"parts": []}, "needs parts"),
        ("mixture", {"parts": [(1, "nowhere", {})]}, "unknown data distribution 'nowhere'"),
    ],
)
def test_bad_options(data, options, message):
    with pytest.raises(ConfigError, match=message):
        sample_actions(data, 10, 2, 0, **options)


def test_a_dataset_has_rows():
    with pytest.raises(ConfigError, match="rows=0"):
        sample_actions("uniform", 0, 2, 0)
