"""Figures over seeds and datasets, and how sure they are: pure functions of arrays.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", arXiv 2108.13264:
report interquartile means with stratified bootstrap intervals rather than means of a few seeds alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import trim_mean

Statistic = Callable[[np.ndarray], np.ndarray]
"""A figure of values [..., n] over the last axis: [...]."""
RESAMPLES, CONFIDENCE = 2000, 0.95


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


def iqm(values: np.ndarray) -> np.ndarray:
    """Interquartile mean [...] of values [..., n]: the mean of the middle half (Agarwal et al. 2021, section 4.3).

    floor(n / 4) values are cut at each end, so below four values it is the mean. Runs of several datasets are put
    into one list before the cut, as there.
    """
    return trim_mean(np.asarray(values, dtype=float), 0.25, axis=-1)


def mean(values: np.ndarray) -> np.ndarray:
    """The mean [...] of values [..., n]."""
    return np.asarray(values, dtype=float).mean(axis=-1)


def deviation(values: np.ndarray) -> float:
    """Standard deviation of a sample [n], with n - 1; NaN below two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def stratified_bootstrap(
    strata: Sequence[np.ndarray],
    statistic: Statistic = iqm,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of statistic(all values), seeds redrawn within each dataset (Agarwal et al. 2021, 4.1).

    strata: a dataset's values [n_k] each, finite; every resample draws n_k of them with replacement, and the
    statistic is that of all strata in one row. None where no stratum has two values: no spread is known.
    """
    if max((len(values) for values in strata), default=0) < 2:
        return None
    generator = np.random.default_rng(seed)
    drawn = [values[generator.integers(len(values), size=(resamples, len(values)))] for values in strata]
    return _percentiles(statistic(np.concatenate(drawn, axis=-1)), confidence)


def paired_bootstrap(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of the mean difference a - b: pairs are redrawn together, within each dataset.

    pairs: (a [n_k], b [n_k]) a dataset, the same seed at the same place. What a seed does to both cancels, so
    the interval is that of the differences (Efron & Tibshirani 1993, section 8.3; strata as above). None as above.
    """
    differences = [a - b for a, b in pairs]
    return stratified_bootstrap(differences, mean, resamples=resamples, confidence=confidence, seed=seed)


def probability_of_improvement(strata: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """P(A > B): the share of pairs of runs, one of each, in which A is better, a tie counting half, averaged over
    datasets (Agarwal et al. 2021, section 4.3: the Mann-Whitney U-statistic over N M)."""
    shares = [(np.sign(a[:, None] - b[None, :]).mean() + 1) / 2 for a, b in strata]
    return float(np.mean(shares))


def _percentiles(values: np.ndarray, confidence: float) -> Interval:
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))
