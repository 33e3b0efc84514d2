"""Intervals by resampling items, and what a number of items can tell at all.

Percentile bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Where
every item has the same value 0 or 1, resampling cannot vary and would claim certainty: there the Wilson
score interval stands in (Wilson, JASA 22, 1927).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from evals.metrics import Array, Metric

RESAMPLES = 2000
CONFIDENCE = 0.95
POWER = 0.80
_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value over ``n`` items, its 95 % interval and its minimum detectable effect."""

    value: float
    low: float
    high: float
    n: int
    mde: float


def estimate(metric: Metric, rows: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Estimate ``metric`` from ``rows`` of shape ``(items, columns)``, at least one item.

    Same seed, same interval.
    """
    value = float(metric.statistic(rows[None])[0])
    n = len(rows)
    constant = rows[0, 0] if rows.shape[1] == 1 and np.all(rows == rows[0]) else None
    if constant in (0.0, 1.0):
        low, high = wilson(int(constant) * n, n)
        error = (high - low) / (2 * _z(CONFIDENCE))
    elif n == 1:
        low = high = value
        error = 0.0
    else:
        spread = np.concatenate(
            [metric.statistic(rows[index]) for index in _indices(n, rows.shape[1], seed, resamples)]
        )
        low, high = _percentiles(spread)
        error = float(spread.std(ddof=1))
    return Estimate(value, low, high, n, mde(error))


def paired_difference(
    metric: Metric, before: Array, after: Array, *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Estimate ``after - before`` over the same items in the same order (paired bootstrap: both sides draw
    the same items).
    """
    value = float(metric.statistic(after[None])[0] - metric.statistic(before[None])[0])
    n = len(before)
    spread = np.concatenate(
        [
            metric.statistic(after[index]) - metric.statistic(before[index])
            for index in _indices(n, before.shape[1], seed, resamples)
        ]
    )
    low, high = _percentiles(spread)
    return Estimate(value, low, high, n, mde(float(spread.std(ddof=1))))


def mde(standard_error: float, *, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """The smallest true difference that such a sample finds with ``power``, two-sided at ``confidence``.

    MDE = (z(1 - alpha/2) + z(power)) * standard error, 2.80 standard errors by default. Source: Bloom,
    "Minimum Detectable Effects", Evaluation Review 19(5), 1995.
    """
    return (_z(confidence) + _NORMAL.inv_cdf(power)) * standard_error


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval of a proportion, ``n`` > 0."""
    z = _z(confidence)
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf((1 + confidence) / 2)


def _percentiles(spread: Array) -> tuple[float, float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(spread, [tail, 100 - tail])
    return float(low), float(high)


def _indices(
    n: int, columns: int, seed: int, resamples: int
) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    draw = np.random.default_rng(seed)
    step = max(1, _CELLS // (n * columns))
    for start in range(0, resamples, step):
        yield draw.integers(0, n, size=(min(step, resamples - start), n))
