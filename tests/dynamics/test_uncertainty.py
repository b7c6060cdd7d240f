"""Measures of a prediction against hand arithmetic and plain loops, and which members and columns they count."""

import itertools
import math

import pytest
import torch

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.types import Prediction
from mbrl.dynamics.uncertainty import (
    DIMS,
    MEASURES,
    MEMBERS,
    ensemble_std,
    max_aleatoric,
    max_discrepancy,
    max_pairwise_diff,
)

EVERY = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
COUNTED = [{}, *({"members": m, "dims": d} for m in MEMBERS for d in DIMS)]


def one_row(means: list[list[float]], stds: list[list[float]], elites: list[int]) -> Prediction:
    """A prediction [1, E, 1, O + 1] of one row, written member by member, the reward last."""
    mean, std = (torch.tensor(x).unsqueeze(1).unsqueeze(0) for x in (means, stds))
    return Prediction(mean, std, torch.tensor([elites]))


# Four members over two observations and a reward; 0 and 2 are elites.
MEANS = [[0.0, 0.0, 1.0], [3.0, 4.0, 1.0], [0.0, 0.0, 7.0], [-3.0, 0.0, 1.0]]
STDS = [[3.0, 4.0, 0.0], [0.0, 0.0, 6.0], [1.0, 2.0, 2.0], [0.0, 1.0, 0.0]]
ROW = one_row(MEANS, STDS, [0, 2])


@pytest.mark.parametrize(
    ("measure", "counted", "expected"),
    [
        (max_aleatoric, {}, 6.0),  # member 1, through its reward
        (max_aleatoric, {"dims": "obs"}, 5.0),  # member 0
        (max_aleatoric, {"members": "elites"}, 5.0),
        (max_aleatoric, {"members": "elites", "dims": "obs"}, 5.0),
        # the mean of all is (0, 1): distances 1, sqrt(18), 1, sqrt(10)
        (max_pairwise_diff, {}, math.sqrt(18)),
        (max_pairwise_diff, {"members": "elites"}, 0.0),
        (max_pairwise_diff, {"members": "elites", "dims": "obs_reward"}, 3.0),
        # squared deviations sum to 18 and 12 over 4 members
        (ensemble_std, {}, math.sqrt((18 / 4 + 12 / 4) / 2)),
        (ensemble_std, {"dims": "obs_reward"}, math.sqrt((18 / 4 + 12 / 4 + 27 / 4) / 3)),
        (ensemble_std, {"members": "elites", "dims": "obs_reward"}, math.sqrt(9 / 3)),
        (max_discrepancy, {}, math.sqrt(52)),  # members 1 and 3
        (max_discrepancy, {"dims": "obs_reward"}, math.sqrt(61)),  # members 1 and 2
        (max_discrepancy, {"members": "elites"}, 0.0),
        (max_discrepancy, {"members": "elites", "dims": "obs_reward"}, 6.0),
    ],
)
def test_by_hand(measure, counted, expected):
    assert measure(ROW, **counted).tolist() == [[pytest.approx(expected, rel=1e-6)]]


def norm(x: list[float]) -> float:
    return math.sqrt(sum(v * v for v in x))


def minus(x: list[float], y: list[float]) -> list[float]:
    return [a - b for a, b in zip(x, y, strict=True)]


def average(xs: list[list[float]]) -> list[float]:
    return [sum(column) / len(xs) for column in zip(*xs, strict=True)]


NAIVE = {
    "max_aleatoric": lambda mu, sigma: max(map(norm, sigma)),
    "max_pairwise_diff": lambda mu, sigma: max(norm(minus(m, average(mu))) for m in mu),
    "ensemble_std": lambda mu, sigma: math.sqrt(
        sum(average([[v * v for v in minus(m, average(mu))] for m in mu])) / len(mu[0])
    ),
    "max_discrepancy": lambda mu, sigma: max(norm(minus(a, b)) for a, b in itertools.product(mu, mu)),
}
OWN_DIMS = {"max_aleatoric": "obs_reward"}


def random_prediction(seeds: int = 2, members: int = 5, rows: int = 6, elites: int = 3) -> Prediction:
    """float64, with other elites for each seed."""
    g = torch.Generator().manual_seed(1)
    shape = (seeds, members, rows, 4)
    chosen = torch.stack([torch.randperm(members, generator=g)[:elites] for _ in range(seeds)])
    mean = torch.randn(shape, generator=g, dtype=torch.float64)
    return Prediction(mean, torch.rand(shape, generator=g, dtype=torch.float64), chosen)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("counted", COUNTED, ids=str)
def test_against_a_plain_loop(name, counted):
    prediction = random_prediction()
    found = MEASURES[name](prediction, **counted)
    assert found.shape == (2, 6)
    columns = 3 if counted.get("dims", OWN_DIMS.get(name, "obs")) == "obs" else 4
    for s, b in itertools.product(range(2), range(6)):
        chosen = prediction.elites[s].tolist() if counted.get("members") == "elites" else range(5)
        rows = [[x[s, e, b, :columns].tolist() for e in chosen] for x in (prediction.mean, prediction.std)]
        assert found[s, b].item() == pytest.approx(NAIVE[name](*rows), rel=1e-12)


@EVERY
@pytest.mark.parametrize("counted", COUNTED, ids=str)
@pytest.mark.parametrize("members", [1, 3, 7])
def test_members_that_agree_and_have_no_noise_give_exactly_zero(measure, counted, members):
    # Values whose mean over 7 is not exact in float32.
    one = 1e3 * torch.rand(2, 1, 50, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    mean = one.expand(2, members, 50, 4)
    assert (mean.mean(1) != one.squeeze(1)).any() or members < 7  # else this shows nothing
    prediction = Prediction(mean, torch.zeros_like(mean), torch.arange(members).repeat(2, 1))
    u = measure(prediction, **counted)
    assert u.shape == (2, 50)
    assert (u == 0).all()


@EVERY
def test_a_measure_never_falls_below_zero_and_grows_with_the_prediction_it_reads(measure):
    prediction = random_prediction()
    u = measure(prediction)
    assert (u > 0).all()
    doubled = Prediction(2 * prediction.mean, 2 * prediction.std, prediction.elites)
    torch.testing.assert_close(measure(doubled), 2 * u)


def test_only_the_aleatoric_measure_reads_std_and_the_others_only_means():
    prediction = random_prediction()
    noisy = prediction._replace(std=7 * prediction.std)
    moved = prediction._replace(mean=prediction.mean.flip(0))
    for name, measure in MEASURES.items():
        before = measure(prediction)
        assert torch.equal(before, measure(noisy)) == (name != "max_aleatoric")
        assert torch.equal(before, measure(moved)) == (name == "max_aleatoric")


@EVERY
def test_the_order_of_members_does_not_matter(measure):
    prediction, order = random_prediction(), torch.tensor([3, 1, 4, 0, 2])
    shuffled = Prediction(prediction.mean[:, order], prediction.std[:, order], prediction.elites)
    torch.testing.assert_close(measure(shuffled), measure(prediction))


@EVERY
@pytest.mark.parametrize("counted", COUNTED, ids=str)
def test_a_stack_is_its_singles(measure, counted):
    prediction = random_prediction()
    together = measure(prediction, **counted)
    for s in range(2):
        alone = measure(Prediction(*(x[s : s + 1] for x in prediction)), **counted)
        assert torch.equal(alone[0], together[s])


@EVERY
def test_a_prediction_that_is_not_finite_is_not_taken_for_certain(measure):
    mean, std, elites = random_prediction()
    mean[0, 2, 1, 0] = std[0, 2, 1, 0] = float("nan")
    u = measure(Prediction(mean, std, elites))
    assert u.isnan().nonzero().tolist() == [[0, 1]]


@EVERY
@pytest.mark.parametrize(
    ("counted", "message"),
    [
        ({"members": "elite"}, "unknown members 'elite'; did you mean 'elites'"),
        ({"dims": "reward"}, "unknown dims 'reward'"),
    ],
)
def test_unknown_names_are_refused(measure, counted, message):
    with pytest.raises(ConfigError, match=message):
        measure(ROW, **counted)


@EVERY
def test_a_model_without_members_is_refused(measure):
    with pytest.raises(MismatchError, match="does not say what its members predict"):
        measure(None)
