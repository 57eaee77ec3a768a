"""When a candidate need not be timed any longer: something as good is certainly faster."""

from __future__ import annotations

from dataclasses import dataclass

from amp_tuner.records import Accuracy, Measurement

#: FP32 against itself: it loses no accuracy, so nothing slower is of use.
_FLOAT32_SPEEDUP = 1.0


@dataclass(frozen=True)
class _Known:
    """The lower ends of a measurement's intervals, and whether it meets the goal."""

    speedup: float
    drop: float
    verdict: str

    def proves_more_than(self, other: _Known) -> bool:
        """Whether whatever ``other`` beats, this one beats too."""
        as_certain = self.verdict in ("meets", other.verdict)
        return as_certain and self.speedup >= other.speedup and self.drop <= other.drop


class SpeedToBeat:
    """The speed-up that something no less accurate than a candidate certainly has.

    A measurement counts if it is not certainly less accurate, meets the goal as certainly, and was
    timed; what counts is the lower end of its interval. FP32 always counts. Only measurements that
    prove something are kept, so a long study asks as quickly as a short one.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []

    def add(self, measurement: Measurement) -> None:
        """Takes in what was measured."""
        if measurement.timing is None:
            return
        accuracy = measurement.accuracy
        new = _Known(measurement.timing.speedup.low, accuracy.drop.low, accuracy.verdict)
        if not any(one.proves_more_than(new) for one in self._known):
            self._known = [one for one in self._known if not new.proves_more_than(one)]
            self._known.append(new)

    def of(self, accuracy: Accuracy) -> float:
        """The speed-up below which a candidate of this accuracy is of no use."""
        beaten = [
            one.speedup
            for one in self._known
            if one.drop <= accuracy.drop.high and one.verdict in ("meets", accuracy.verdict)
        ]
        return max([_FLOAT32_SPEEDUP, *beaten])
