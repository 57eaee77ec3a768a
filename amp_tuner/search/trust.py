"""Whether the sampler's predictions came true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from amp_tuner.search.evidence import Prediction, Told

Array = NDArray[np.float64]

#: The middle 80 % of a normal distribution: so many standard deviations to each side.
SIDES_80 = 1.2816
#: So many of the newest outcomes say whether predictions are to be trusted now.
_NEWEST = 16
#: Fewer say nothing.
_FEWEST = 8
#: Of intervals that should hold 80 %, fewer than this hold: the model is not believed.
_BAD = 0.5
_WIDEST = 3.0


@dataclass(frozen=True)
class Calibration:
    """Predictions against outcomes.

    Attributes:
        outcomes: how many there are.
        inside: the share of them in the predictions' 80 % intervals.
        rank_correlation: Spearman's; None for fewer than three, or where one side is constant.
    """

    outcomes: int
    inside: float
    rank_correlation: float | None


def errors_of_time(told: Sequence[Told]) -> tuple[Array, Array, Array]:
    """Predicted log times, what came, and the distance in standard deviations."""
    pairs = [
        (one.predicted.log_time, -np.log(one.speedup), _time_deviation(one, one.predicted))
        for one in told
        if one.predicted is not None and one.speedup is not None
    ]
    return _columns(pairs)


def errors_of_error(told: Sequence[Told]) -> tuple[Array, Array, Array]:
    """The same for the log errors."""
    pairs = [
        (
            one.predicted.log_error,
            np.log(max(one.drop, 0.0) + one.predicted.floor),
            _error_deviation(one, one.predicted),
        )
        for one in told
        if one.predicted is not None and one.drop is not None
    ]
    return _columns(pairs)


def _columns(rows: Sequence[tuple[float, float, float]]) -> tuple[Array, Array, Array]:
    expected, came, deviation = np.array(rows, np.float64).reshape(-1, 3).T
    return expected, came, (came - expected) / deviation


def _time_deviation(one: Told, predicted: Prediction) -> float:
    low, high = one.speedup_interval or (1.0, 1.0)
    return float(np.hypot(predicted.log_time_deviation, np.log(high / low) / 2 / 1.96))


def _error_deviation(one: Told, predicted: Prediction) -> float:
    low, high = one.drop_interval or (0.0, 0.0)
    noise = (high - low) / 2 / 1.96 / (max(one.drop or 0.0, 0.0) + predicted.floor)
    return float(np.hypot(predicted.log_error_deviation, noise))


def calibration(errors: tuple[Array, Array, Array]) -> Calibration | None:
    """How good predictions were; None where there are none."""
    expected, came, distance = errors
    if not distance.size:
        return None
    correlation = None
    if distance.size > 2 and np.ptp(expected) > 0 and np.ptp(came) > 0:
        correlation = float(spearmanr(expected, came).statistic)
    return Calibration(distance.size, float(np.mean(np.abs(distance) <= SIDES_80)), correlation)


@dataclass(frozen=True)
class Trust:
    """How far the model's own uncertainty is believed.

    Attributes:
        widened: by what standard deviations are multiplied; at least 1.
        is_lost: its newest predictions were so bad that every second setting is chosen for what
            would be learnt.
    """

    widened: float
    is_lost: bool

    @classmethod
    def of(cls, distance: Array) -> Trust:
        """By the newest distances between outcomes and predictions, in standard deviations."""
        newest = distance[-_NEWEST:]
        if newest.size < _FEWEST:
            return cls(1.0, is_lost=False)
        # The median is not moved by a single surprise.
        typical = float(np.median(np.abs(newest))) / 0.6745
        inside = float(np.mean(np.abs(newest) <= SIDES_80))
        return cls(float(np.clip(typical, 1.0, _WIDEST)), is_lost=inside < _BAD)
