"""Figures over seeds: by hand, and against loops that follow the definitions word by word."""

import math

import numpy as np
import pytest

from mbrl.diagnose.stats import (
    deviation,
    iqm,
    mean,
    paired_bootstrap,
    probability_of_improvement,
    stratified_bootstrap,
)


def test_iqm_by_hand():
    assert iqm([0.0, 1.0, 2.0, 100.0]) == 1.5
    assert iqm([5.0, 1.0, 3.0]) == 3.0  # a quarter of three is none: the mean
    assert iqm([-9.0, 1.0, 2.0, 3.0, 50.0]) == 2.0
    assert iqm([[0.0, 1.0, 2.0, 100.0], [4.0, 4.0, 8.0, 0.0]]).tolist() == [1.5, 4.0]


@pytest.mark.parametrize("n", range(1, 14))
def test_iqm_as_a_loop(n):
    values = np.random.default_rng(n).normal(size=n)
    kept, cut = sorted(values.tolist()), n // 4
    for _ in range(cut):
        kept.pop()
        kept.pop(0)
    assert iqm(values) == pytest.approx(sum(kept) / len(kept), abs=1e-12)


def test_deviation_by_hand():
    assert deviation(np.array([1.0, 3.0])) == pytest.approx(math.sqrt(2))
    assert math.isnan(deviation(np.array([1.0])))


def naive_bootstrap(strata, statistic, resamples, confidence, seed):
    """A value at a time, with the same draws."""
    generator = np.random.default_rng(seed)
    picks = [generator.integers(len(part), size=(resamples, len(part))) for part in strata]
    found = []
    for r in range(resamples):
        drawn = [part[i] for part, pick in zip(strata, picks, strict=True) for i in pick[r]]
        found.append(float(statistic(np.array(drawn))))
    found.sort()
    ends = []
    for share in ((1 - confidence) / 2, (1 + confidence) / 2):
        place = share * (resamples - 1)
        low = math.floor(place)
        high = min(low + 1, resamples - 1)
        ends.append(found[low] + (place - low) * (found[high] - found[low]))
    return ends


@pytest.mark.parametrize("statistic", [iqm, mean])
@pytest.mark.parametrize("sizes", [(5,), (3, 7), (1, 4, 2)])
def test_bootstrap_as_a_loop(statistic, sizes):
    generator = np.random.default_rng(0)
    strata = [generator.normal(10 * k, 1, size=n) for k, n in enumerate(sizes)]
    found = stratified_bootstrap(strata, statistic, resamples=150, confidence=0.9, seed=4)
    assert found == pytest.approx(naive_bootstrap(strata, statistic, 150, 0.9, 4), abs=1e-12)


def test_bootstrap_draws_within_a_dataset():
    # Datasets far apart and without spread: a resample that mixed them would not have the same mean.
    constant = [np.full(3, 0.0), np.full(3, 1000.0)]
    assert stratified_bootstrap(constant, mean) == (500.0, 500.0)
    assert stratified_bootstrap([np.concatenate(constant)], mean) != (500.0, 500.0)


def test_bootstrap_of_two_values_by_hand():
    # Means of two draws are 0, 1/2 or 1 with probability 1/4, 1/2, 1/4: the 95% ends are the extremes.
    assert stratified_bootstrap([np.array([0.0, 1.0])], mean) == (0.0, 1.0)
    low, high = stratified_bootstrap([np.array([0.0, 1.0])], mean, confidence=0.4, resamples=4000)
    assert (low, high) == (0.5, 0.5)


def test_bootstrap_covers_as_often_as_it_says():
    generator, hits = np.random.default_rng(1), 0
    for trial in range(300):
        low, high = stratified_bootstrap([generator.normal(size=40)], mean, resamples=300, seed=trial)
        hits += low <= 0.0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_no_spread_no_interval():
    assert stratified_bootstrap([]) is None
    assert stratified_bootstrap([np.array([1.0]), np.array([2.0])]) is None
    assert stratified_bootstrap([np.array([1.0]), np.array([2.0, 2.0])]) is not None


def test_the_same_data_give_the_same_interval():
    values = [np.arange(6.0)]
    assert stratified_bootstrap(values) == stratified_bootstrap(values)
    assert stratified_bootstrap(values, resamples=30) != stratified_bootstrap(values, resamples=30, seed=1)


def test_pairs_cancel_what_a_seed_does_to_both():
    noise = np.random.default_rng(0).normal(0, 100, size=8)
    low, high = paired_bootstrap([(noise + 1, noise)])
    assert low == pytest.approx(1)
    assert high == pytest.approx(1)
    unpaired = paired_bootstrap([(noise + 1, noise[::-1])])
    assert unpaired.high - unpaired.low > 10


def test_paired_bootstrap_as_a_loop():
    generator = np.random.default_rng(3)
    pairs = [(generator.normal(size=n), generator.normal(size=n)) for n in (4, 6)]
    rng, found = np.random.default_rng(0), []
    picks = [rng.integers(len(a), size=(200, len(a))) for a, _ in pairs]
    for r in range(200):
        drawn = [a[i] - b[i] for (a, b), pick in zip(pairs, picks, strict=True) for i in pick[r]]
        found.append(sum(drawn) / len(drawn))
    expected = np.percentile(found, [2.5, 97.5])
    assert paired_bootstrap(pairs, resamples=200) == pytest.approx(expected.tolist(), abs=1e-12)


def test_probability_of_improvement_by_hand_and_as_a_loop():
    assert probability_of_improvement([(np.array([1.0, 3.0]), np.array([2.0, 3.0]))]) == 0.375
    generator = np.random.default_rng(2)
    strata = [(generator.integers(0, 4, 5) * 1.0, generator.integers(0, 4, 3) * 1.0) for _ in range(2)]
    shares = []
    for a, b in strata:
        won = 0.0
        for x in a:
            for y in b:
                won += 1.0 if x > y else 0.5 if x == y else 0.0
        shares.append(won / (len(a) * len(b)))
    assert probability_of_improvement(strata) == pytest.approx(sum(shares) / 2)
