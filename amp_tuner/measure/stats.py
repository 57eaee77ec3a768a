"""Statistics of block times: an interval for a median, and percentiles that have enough runs.

Arrays have shape (n,). Nothing here knows what is timed.
"""

from __future__ import annotations

import bisect
import functools
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
_TAIL = 0.0125
#: 98.75 % quantiles of Student's t for 1 to 4 degrees of freedom.
_STUDENT_T = (25.452, 6.205, 4.177, 3.495)


def median_interval(values: NDArray[np.float64]) -> Interval:
    """The median of ``values`` with an interval that is 95 % for a caller who looks repeatedly.

    From MIN_VALUES values on it is the percentile bootstrap (Efron, 1979) without its resampling:
    a median's bootstrap distribution is known. Its ends are order statistics, nearly those of the
    exact sign-test interval, so it keeps its level for any shape of noise. BCa is not used: its
    acceleration comes from the jackknife, which is inconsistent for a median (Efron and
    Tibshirani, 1993, 10.6). With fewer values it is Student's interval of the mean, widened to hold
    the median: it leans on normal noise, and is wide.

    Args:
        values: shape (n,), n >= 2, finite.

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
        rank = _low_rank(values.size)
        ordered = np.sort(values)
        ends = (ordered[rank - 1], ordered[-rank])
    return Interval(median, min(median, float(ends[0])), max(median, float(ends[1])))


@functools.lru_cache(maxsize=4096)
def _low_rank(count: int) -> int:
    """The rank (1 is the smallest) of the interval's low end among ``count`` values.

    A resample's lower median is at most the k-th smallest value if at least half of its draws are,
    of which each is with probability k / count (Efron, 1979, section 3). The rank is the least k
    for which that is at least as likely as the tail; the high end lies as far from the top.
    """
    draws = np.arange((count + 1) // 2, count + 1)
    log_factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count + 1)))))
    log_ways = log_factorials[count] - log_factorials[draws] - log_factorials[count - draws]

    def at_most(rank: int) -> float:
        share = rank / count
        log_share = draws * np.log(share) + (count - draws) * np.log1p(-share)
        return float(np.exp(log_ways + log_share).sum())

    return 1 + bisect.bisect_left(range(1, count // 2), _TAIL, key=at_most)


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
