"""When a candidate need not be timed any longer: something as good is certainly faster."""

from __future__ import annotations

from collections.abc import Iterable

from amp_tuner.records import Accuracy, Measurement

#: FP32 against itself: it loses no accuracy, so nothing slower is of use.
_FLOAT32_SPEEDUP = 1.0


def speed_to_beat(known: Iterable[Measurement], accuracy: Accuracy) -> float:
    """The speed-up that something no less accurate certainly has.

    A measurement counts if it is not certainly less accurate, meets the goal as certainly, and was
    timed; what counts is the lower end of its interval. FP32 always counts.

    Args:
        known: what was measured before.
        accuracy: the candidate's.
    """
    beaten = [
        one.timing.speedup.low
        for one in known
        if one.timing is not None
        and one.accuracy.drop.low <= accuracy.drop.high
        and one.accuracy.verdict in ("meets", accuracy.verdict)
    ]
    return max([_FLOAT32_SPEEDUP, *beaten])
