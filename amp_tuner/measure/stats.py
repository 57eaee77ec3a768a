"""Statistics of block times: an interval for a median, and percentiles that have enough runs.

Arrays have shape (n,). Nothing here knows what is timed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amp_tuner.records import Interval

#: Fewest values for which a distribution-free 95 % interval of a median exists: the range of n
#: values covers the median with probability 1 - 2^(1-n), which is 0.969 at 6 and 0.938 at 5
#: (Hahn and Meeker, Statistical Intervals, 1991, 5.2).
MIN_VALUES = 6
#: Each look's interval is one of 97.5 %: a measurement that stops as soon as its interval is narrow
#: stops too often on one that is narrow by luck. Simulated with normal and heavy-tailed noise, what
#: is left when it stops is 93 to 98 %; looks at 95 % would leave 88 to 92 %.
_TAILS = (1.25, 98.75)
#: 98.75 % quantiles of Student's t for 1 to 4 degrees of freedom.
_STUDENT_T = (25.452, 6.205, 4.177, 3.495)
_RESAMPLES = 2000


def median_interval(values: NDArray[np.float64], seed: int) -> Interval:
    """The median of ``values`` with an interval that is 95 % for a caller who looks repeatedly.

    From MIN_VALUES values on it is the percentile bootstrap (Efron, 1979). For a median its ends
    are order statistics, nearly those of the exact sign-test interval, so it keeps its level for
    any shape of noise. BCa is not used: its acceleration comes from the jackknife, which is
    inconsistent for a median (Efron and Tibshirani, 1993, 10.6). With fewer values it is Student's
    interval of the mean, widened to hold the median: it leans on normal noise, and is wide.

    Args:
        values: shape (n,), n >= 2, finite.
        seed: of the resampling.

    Raises:
        ValueError: fewer than two values, or one is not finite.
    """
    if values.size < 2 or not np.isfinite(values).all():
        raise ValueError(f"an interval needs two or more finite values, found {values}")
    median = float(np.median(values))
    if values.size < MIN_VALUES:
        half = _STUDENT_T[values.size - 2] * values.std(ddof=1) / np.sqrt(values.size)
        ends = (values.mean() - half, values.mean() + half)
    else:
        random = np.random.default_rng(seed)
        rows = random.integers(values.size, size=(_RESAMPLES, values.size))
        low, high = np.percentile(np.median(values[rows], axis=1), _TAILS)
        ends = (low, high)
    return Interval(median, min(median, float(ends[0])), max(median, float(ends[1])))


def supports(percentile: float, count: int) -> bool:
    """Whether ``count`` values say anything about a percentile: one is expected beyond it.

    That is count * (1 - percentile / 100) >= 1: p90 needs 10 values, p99 100, p99.9 1,000. With
    fewer, the percentile lies beyond the largest value (definition 6 of Hyndman and Fan, 1996,
    places the largest of n at n / (n + 1)) and any figure for it would be invented.
    """
    return round(count * (100.0 - percentile), 6) >= 100.0


def percentiles(values: NDArray[np.float64], wanted: Sequence[float]) -> dict[str, float]:
    """The percentiles that ``values`` supports, by label (``p50``, ``p99.9``), in their unit."""
    known = [percentile for percentile in wanted if supports(percentile, values.size)]
    figures = np.percentile(values, known, method="weibull").tolist() if known else []
    return {f"p{percentile:g}": figure for percentile, figure in zip(known, figures)}
