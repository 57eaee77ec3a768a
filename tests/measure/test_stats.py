from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from amp_tuner.measure import stats


@pytest.mark.parametrize("count", [2, 4, 6, 12, 40])
@pytest.mark.parametrize("noise", ["normal", "heavy tails", "skewed"])
def test_the_interval_covers_the_median_at_about_its_level(count: int, noise: str) -> None:
    random = np.random.default_rng(7)
    draw = {
        "normal": lambda: random.normal(0, 1, count),
        "heavy tails": lambda: random.standard_t(3, count),
        "skewed": lambda: random.exponential(1, count) - np.log(2),
    }[noise]
    covered = 0
    for _ in range(300):
        interval = stats.median_interval(draw())
        covered += interval.low <= 0 <= interval.high
    assert covered / 300 >= 0.91


@given(
    hypothesis_numpy.arrays(
        np.float64, st.integers(2, 30), elements=st.floats(-1e6, 1e6, allow_nan=False)
    )
)
def test_the_interval_holds_the_median_and_shifts_with_the_values(values: np.ndarray) -> None:
    interval = stats.median_interval(values)
    assert interval.value == np.median(values)
    assert interval.low <= interval.value <= interval.high
    shifted = stats.median_interval(values + 1000.0)
    assert shifted.low == pytest.approx(interval.low + 1000.0, abs=1e-3)


@pytest.mark.parametrize("count", [6, 7, 12, 41, 300])
def test_it_is_the_bootstrap_with_infinitely_many_resamples(count: int) -> None:
    random = np.random.default_rng(count)
    values = np.sort(random.normal(size=count))
    rows = random.integers(count, size=(20_000, count))
    lower = np.sort(values[rows], axis=1)[:, (count - 1) // 2]
    interval = stats.median_interval(values)
    rank = int(np.searchsorted(values, interval.low))
    assert np.mean(lower <= interval.low) >= 0.0125 - 0.003
    assert rank == 0 or np.mean(lower <= values[rank - 1]) <= 0.0125 + 0.003
    assert interval.high == values[count - 1 - rank]


def test_more_values_narrow_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=400)
    few, many = stats.median_interval(values[:20]), stats.median_interval(values)
    assert many.high - many.low < (few.high - few.low) / 2


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_no_interval_from_too_few_or_impossible_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two or more finite values"):
        stats.median_interval(np.asarray(values, dtype=np.float64))


@pytest.mark.parametrize(("percentile", "needed"), [(50, 2), (90, 10), (99, 100), (99.9, 1000)])
def test_a_percentile_needs_one_value_beyond_it(percentile: float, needed: int) -> None:
    assert stats.supports(percentile, needed)
    assert not stats.supports(percentile, needed - 1)


def test_only_percentiles_with_enough_values_are_given() -> None:
    values = np.arange(1.0, 100.0)
    assert stats.percentiles(values, (50, 90, 99)) == pytest.approx({"p50": 50.0, "p90": 90.0})
    assert stats.percentiles(np.arange(1.0, 101.0), (99,))["p99"] == pytest.approx(99.99)
    assert stats.percentiles(values[:1], (50,)) == {}
