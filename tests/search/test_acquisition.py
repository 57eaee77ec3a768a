"""Expected gains against simulation, volumes against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.search.acquisition import expected_gain, front_of, hypervolume

REFERENCE = np.array([0.0, 1.0])
#: Speed-ups and errors.
coordinates = st.tuples(st.integers(1, 9), st.integers(0, 9))


@given(points=st.lists(coordinates, max_size=8))
def test_the_volume_is_what_counting_squares_gives(points: list[tuple[int, int]]) -> None:
    grid = np.array(points, np.float64).reshape(-1, 2)
    grid[:, 0] = -np.log(grid[:, 0])
    covered = {
        (column, row)
        for right, bottom in points
        for column in range(1, right)
        for row in range(bottom, 8)
    }
    assert hypervolume(grid, np.array([0.0, 8.0])) == pytest.approx(len(covered))


def test_the_front_is_what_nothing_beats() -> None:
    points = np.array([[-1.0, 0.5], [-2.0, 0.9], [-0.5, 0.6], [-1.0, 0.7], [-3.0, 1.5], [0.1, 0.0]])
    assert front_of(points, REFERENCE).tolist() == [[-2.0, 0.9], [-1.0, 0.5]]


@pytest.mark.parametrize("deviation", [(0.05, 0.1), (0.4, 0.8)])
@pytest.mark.parametrize("mean", [(-1.5, -0.5), (-0.2, -2.0), (0.3, 0.2), (-3.0, -3.0)])
def test_an_expected_gain_is_the_mean_of_simulated_gains(
    mean: tuple[float, float], deviation: tuple[float, float]
) -> None:
    front = front_of(np.array([[-2.0, 0.8], [-1.0, 0.4], [-0.5, 0.1]]), REFERENCE)
    drawn = np.random.default_rng(0).normal(mean, deviation, (5_000, 2))
    drawn[:, 1] = np.exp(drawn[:, 1])
    before = hypervolume(front, REFERENCE)
    gains = [hypervolume(np.vstack((front, point)), REFERENCE) - before for point in drawn]
    found = expected_gain(front, REFERENCE, np.array([mean]), np.array([deviation]))
    error = float(np.std(gains) / np.sqrt(len(gains)))
    assert found[0] == pytest.approx(np.mean(gains), abs=5 * error + 1e-6)


def test_without_a_front_the_whole_area_is_to_be_gained() -> None:
    certain = np.full((1, 2), 1e-6)
    mean = np.array([[-np.log(3.0), np.log(0.25)]])
    found = expected_gain(np.zeros((0, 2)), REFERENCE, mean, certain)
    assert found[0] == pytest.approx(2 * 0.75, rel=1e-3)
