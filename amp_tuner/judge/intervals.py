"""95 % intervals for shares, for paired differences, and for anything by resampling.

All intervals are two-sided 95 %; a bound used by itself is therefore one-sided 97.5 %. Everything
is deterministic: resampling starts from SEED each time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, norm, t

from amp_tuner.records import Interval

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
SEED = 0
#: Groups of the delete-a-group jackknife.
GROUPS = 20
_Z = float(norm.ppf(0.5 + CONFIDENCE / 2))
_TAIL = (1 - CONFIDENCE) / 2
#: A standardised distance that no variance at all makes of any difference.
_CERTAIN = 1e9
_RESAMPLES = (200, 1000)
#: Weights drawn in all resamples together: about half a second.
_DRAWS = 20_000_000


def share(successes: int, samples: int) -> Interval:
    """The exact interval of a share (Clopper and Pearson 1934)."""
    failures = samples - successes
    low = 0.0 if successes == 0 else float(beta.ppf(_TAIL, successes, failures + 1))
    high = 1.0 if failures == 0 else float(beta.ppf(1 - _TAIL, successes + 1, failures))
    return Interval(successes / samples, low, high)


def paired_shares(only_first: int, only_second: int, samples: int) -> Interval:
    """The difference of two shares on the same samples, first less second.

    The score interval of Tango (1998), Statistics in Medicine 17, 891-908: it holds its level
    with few or no discordant samples, where Wald's shrinks to nothing.

    Args:
        only_first: samples that are right on the first side only.
        only_second: samples that are right on the second side only.
        samples: all samples.
    """
    difference = (only_first - only_second) / samples

    def statistic(delta: float) -> float:
        b = -only_first - only_second + (2 * samples - only_first + only_second) * delta
        c = -only_second * delta * (1 - delta)
        root = math.sqrt(max(b * b - 8 * samples * c, 0.0))
        share_second = (root - b) / (4 * samples)
        variance = samples * (2 * share_second + delta * (1 - delta))
        distance = only_first - only_second - samples * delta
        if variance > 0:
            return distance / math.sqrt(variance)
        return math.copysign(_CERTAIN, distance) if distance else 0.0

    def bound(sign: int) -> float:
        end = sign * (1 - 1e-12)
        if sign * (end - difference) <= 0 or abs(statistic(end)) < _Z:
            return float(sign)
        # The statistic is 0 at the estimate and grows towards both ends.
        return float(
            brentq(lambda delta: statistic(delta) + sign * _Z, difference, end, xtol=1e-12)
        )

    return Interval(difference, bound(-1), bound(1))


def normal(value: float, influences: Floats) -> Interval:
    """The interval of an estimate from each sample's influence on it, shape (samples,)."""
    if len(influences) < 2:
        return Interval(value, value, value)
    half = _Z * float(np.std(influences, ddof=1)) / math.sqrt(len(influences))
    return Interval(value, value - half, value + half)


def bootstrap_means(columns: Floats) -> Floats:
    """Means of ``columns`` (samples, k) over paired resamples of the samples: (resamples, k)."""
    samples = len(columns)
    rng = np.random.default_rng(SEED)
    rows = np.ascontiguousarray(columns.T)
    means = np.empty((_resamples(samples), columns.shape[1]))
    for mean in means:
        weights = np.bincount(rng.integers(samples, size=samples), minlength=samples)
        mean[:] = rows @ weights.astype(np.float64) / samples
    return means


def bootstrap_counts(counts: Floats) -> Floats:
    """Counts that a table with ``counts`` may come from, up to a factor: (resamples, cells).

    The Bayesian bootstrap (Rubin 1981, Annals of Statistics 9, 130), whose weights are gamma
    variables: with one sample more in a cell of none its upper end is Clopper and Pearson's of no
    successes, where resampling would give nothing but 0.
    """
    rng = np.random.default_rng(SEED)
    return rng.gamma(counts, size=(_resamples(len(counts)), len(counts)))


def percentile(value: float, resampled: Floats) -> Interval:
    """The percentile interval around ``value``; never one that excludes it."""
    low, high = np.quantile(resampled, [_TAIL, 1 - _TAIL])
    return Interval(value, min(float(low), value), max(float(high), value))


def jackknife(value: float, without_group: Floats) -> Interval:
    """The delete-a-group jackknife interval (Kott 2001, Journal of Official Statistics 17, 521).

    Args:
        value: the estimate on all samples.
        without_group: the estimate without each of the random groups, shape (groups,).
    """
    groups = len(without_group)
    if groups < 2:
        return Interval(value, value, value)
    variance = (groups - 1) / groups * float(np.sum((without_group - without_group.mean()) ** 2))
    half = float(t.ppf(1 - _TAIL, groups - 1)) * math.sqrt(variance)
    return Interval(value, value - half, value + half)


def _resamples(size: int) -> int:
    low, high = _RESAMPLES
    return min(max(_DRAWS // max(size, 1), low), high)
