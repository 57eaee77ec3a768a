"""Intervals cover what they should, and survive the edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from amp_tuner.judge import intervals
from amp_tuner.records import Interval


def covered(truth: float, draw: Callable[[np.random.Generator], Interval], rounds: int) -> float:
    rng = np.random.default_rng(7)
    found = [draw(rng) for _ in range(rounds)]
    return float(np.mean([interval.low <= truth <= interval.high for interval in found]))


def test_a_share_s_interval_is_clopper_and_pearson_s() -> None:
    # Clopper and Pearson 1934; values of R's binom.test(7, 20) and binom.test(0, 100).
    found = intervals.share(7, 20)
    assert (found.low, found.high) == pytest.approx((0.1539092, 0.5921885), abs=1e-7)
    none = intervals.share(0, 100)
    assert (none.low, none.high) == pytest.approx((0, 0.03621669), abs=1e-7)
    assert intervals.share(5, 5).high == 1


@pytest.mark.parametrize("counts", [(9, 1, 32), (1, 7, 21), (3, 0, 50), (40, 35, 100)])
def test_paired_shares_end_where_the_score_test_does(counts: tuple[int, int, int]) -> None:
    """The bounds against the definition: the likelihood is maximised numerically there."""
    first, second, samples = counts
    found = intervals.paired_shares(first, second, samples)
    for delta in (found.low, found.high):

        def loss(share: float, delta: float = delta) -> float:
            shares = np.array([share + delta, share, 1 - 2 * share - delta])
            seen = np.array([first, second, samples - first - second])
            return -float(np.sum(seen * np.log(np.maximum(shares, 1e-300))))

        bounds = (max(0.0, -delta), (1 - delta) / 2)
        share = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
        spread = np.sqrt(samples * (2 * share + delta - delta**2))
        assert abs(first - second - samples * delta) / spread == pytest.approx(1.959964, rel=1e-3)


@given(st.integers(1, 10**6), st.data())
def test_paired_shares_hold_their_estimate_and_mirror(samples: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, samples))
    second = data.draw(st.integers(0, samples - first))
    found = intervals.paired_shares(first, second, samples)
    mirrored = intervals.paired_shares(second, first, samples)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high), abs=1e-9)
    assert found.low < found.high


def test_paired_shares_solve_the_score_equation_without_discordant_samples() -> None:
    # With none, the bounds are +- z^2 / (n + z^2).
    found = intervals.paired_shares(0, 0, 100)
    assert found.high == pytest.approx(3.8414588 / 103.8414588, abs=1e-9)


@pytest.mark.parametrize("discordant", [(0.01, 0.01), (0.08, 0.02), (0.002, 0.0)])
def test_paired_shares_cover(discordant: tuple[float, float]) -> None:
    first, second = discordant

    def draw(rng: np.random.Generator) -> Interval:
        counts = rng.multinomial(400, [first, second, 1 - first - second])
        return intervals.paired_shares(int(counts[0]), int(counts[1]), 400)

    assert covered(first - second, draw, 800) >= 0.93


def test_bootstrapped_means_cover() -> None:
    def draw(rng: np.random.Generator) -> Interval:
        values = rng.exponential(2.0, size=(300, 1))
        means = intervals.bootstrap_means(values)[:, 0]
        return intervals.percentile(float(values.mean()), means)

    assert 0.88 <= covered(2.0, draw, 60) <= 1


def test_the_jackknife_covers() -> None:
    def draw(rng: np.random.Generator) -> Interval:
        values = rng.normal(3.0, 1.0, size=200)
        groups = np.array_split(rng.permutation(200), intervals.GROUPS)
        without = np.array([np.delete(values, group).mean() for group in groups])
        return intervals.jackknife(float(values.mean()), without)

    assert 0.92 <= covered(3.0, draw, 600) <= 0.98


def test_resampling_is_the_same_every_time() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    assert np.array_equal(intervals.bootstrap_means(values), intervals.bootstrap_means(values))


def test_a_percentile_interval_never_excludes_its_estimate() -> None:
    found = intervals.percentile(5.0, np.array([1.0, 2.0, 3.0]))
    assert found.low <= 5.0 <= found.high
