"""Predictions held against outcomes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from amp_tuner.search.evidence import Prediction, Told
from amp_tuner.search.looks import Look
from amp_tuner.search.trust import Trust, calibration, errors_of_error, errors_of_time

NOTHING = np.zeros(1)
LOOK = Look("g", "bfloat16", NOTHING, NOTHING, NOTHING, np.zeros(4))


def told(log_time: float, came: float, deviation: float = 0.1) -> Told:
    predicted = Prediction(log_time, deviation, -3.0, deviation, 0.01, 0.1, 0.2, explores=False)
    return Told({}, LOOK, math.exp(-came), math.exp(-3.0) - 0.01, predicted=predicted)


def test_outcomes_are_counted_that_are_inside_the_80_percent_interval() -> None:
    found = calibration(errors_of_time([told(0.0, 0.12), told(0.1, 0.25), told(0.2, 0.2)]))
    assert found is not None
    assert found.outcomes == 3
    assert found.inside == pytest.approx(2 / 3)
    assert found.rank_correlation == pytest.approx(0.5)


def test_errors_are_logarithms_of_drops_above_the_floor() -> None:
    expected, came, distance = errors_of_error([told(0.0, 0.0)])
    assert came[0] == pytest.approx(expected[0])
    assert distance[0] == pytest.approx(0.0)


def test_the_noise_of_the_measurement_widens_the_interval() -> None:
    exact = told(0.0, 0.2)
    noisy = Told({}, LOOK, exact.speedup, None, None, (0.6, 1.1), None, exact.predicted)
    assert abs(errors_of_time([noisy])[2][0]) < abs(errors_of_time([exact])[2][0])


def test_without_predictions_there_is_no_calibration() -> None:
    assert calibration(errors_of_time([Told({}, LOOK, 1.0, 0.0)])) is None


def test_constant_outcomes_have_no_ranks() -> None:
    found = calibration(errors_of_time([told(0.1, 0.1)] * 5))
    assert found is not None
    assert found.rank_correlation is None


def test_good_predictions_are_trusted_as_they_are() -> None:
    trust = Trust.of(np.random.default_rng(0).normal(size=40) * 0.8)
    assert not trust.is_lost
    assert trust.widened < 1.2


def test_bad_predictions_widen_the_uncertainty_and_are_not_trusted() -> None:
    trust = Trust.of(np.full(12, 2.5))
    assert trust.is_lost
    assert trust.widened == 3.0


def test_a_few_outcomes_or_one_surprise_change_nothing() -> None:
    assert not Trust.of(np.full(4, 9.0)).is_lost
    surprised = np.array([0.1, -0.3, 0.2, 0.5, -0.4, 0.3, 30.0, 0.2, 0.1, -0.2])
    assert Trust.of(surprised).widened == 1.0
