"""There and back between logarithms and the scales on which targets are sums."""

from __future__ import annotations

import numpy as np
import pytest

from amp_tuner.search.scales import LOGARITHM, Scale

SCALES = [LOGARITHM, Scale(power=1), Scale(power=2, float32=-4.0, least=-4.0)]


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_nearly_certain_comes_back_as_it_went(scale: Scale) -> None:
    logs = np.array([-1.5, 0.0, 0.7])
    deviation = 1e-4 * scale.slope(logs)
    mean, back = scale.back(scale.there(logs), deviation)
    assert mean == pytest.approx(logs, abs=1e-5)
    assert back == pytest.approx(np.full(3, 1e-4), rel=1e-2)


@pytest.mark.parametrize("scale", SCALES)
def test_the_slope_is_the_derivative(scale: Scale) -> None:
    logs, step = np.array([-1.0, 0.5]), 1e-6
    grown = (scale.there(logs + step) - scale.there(logs - step)) / (2 * step)
    assert scale.slope(logs) == pytest.approx(grown, rel=1e-6)


def test_what_may_be_below_the_least_value_comes_back_above_it_and_less_certain() -> None:
    scale = Scale(power=2, float32=-4.0, least=-4.0)
    mean, deviation = scale.back(np.array([-0.5, 0.0, 0.5]), np.full(3, 0.1))
    assert (mean + 2 * deviation > -4.0).all()
    assert (np.diff(mean + 2 * deviation) > 0).all()
    assert (np.diff(deviation) < 0).all()


def test_mean_and_variance_of_a_positive_value_are_kept() -> None:
    mean, deviation = Scale(power=1).back(np.array([2.0]), np.array([0.5]))
    drawn = np.exp(np.random.default_rng(0).normal(mean[0], deviation[0], 200_000))
    assert drawn.mean() == pytest.approx(2.0, rel=0.01)
    assert drawn.std() == pytest.approx(0.5, rel=0.02)
