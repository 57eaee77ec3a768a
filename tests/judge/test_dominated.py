"""What a candidate must beat to be worth more timing."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.judge.dominated import SpeedToBeat
from amp_tuner.records import FLOAT32_GRAPH, Accuracy, Interval, Measurement, Timing


def accuracy(drop: float, verdict: str = "meets") -> Accuracy:
    return Accuracy(
        "top1", Interval(1 - drop, 0, 1), Interval(drop, drop - 0.01, drop + 0.01), verdict, 1000
    )


def measured(drop: float, speedup: float | None, verdict: str = "meets") -> Measurement:
    timing = None
    if speedup is not None:
        interval = Interval(speedup, speedup - 0.1, speedup + 0.1)
        timing = Timing(interval, "narrow", (), {}, {}, {}, 0.0)
    return Measurement(FLOAT32_GRAPH, accuracy(drop, verdict), timing)


def speed_to_beat(known: Iterable[Measurement], candidate: Accuracy) -> float:
    to_beat = SpeedToBeat()
    for one in known:
        to_beat.add(one)
    return to_beat.of(candidate)


def by_definition(known: Iterable[Measurement], candidate: Accuracy) -> float:
    """The fastest certain speed of all that is as good, by looking at each."""
    speeds = [
        one.timing.speedup.low
        for one in known
        if one.timing is not None
        and one.accuracy.drop.low <= candidate.drop.high
        and one.accuracy.verdict in ("meets", candidate.verdict)
    ]
    return max([1.0, *speeds])


def test_fp32_is_always_to_beat() -> None:
    assert speed_to_beat([], accuracy(0.0)) == 1.0
    assert speed_to_beat([measured(0.0, 0.5)], accuracy(0.0)) == 1.0


def test_the_certain_speed_of_something_as_accurate_is_to_beat() -> None:
    known = [measured(0.0, 1.5), measured(0.0, 1.8)]
    assert speed_to_beat(known, accuracy(0.0)) == 1.8 - 0.1


def test_something_certainly_less_accurate_proves_nothing() -> None:
    assert speed_to_beat([measured(0.1, 2.0)], accuracy(0.0)) == 1.0


def test_something_that_may_miss_the_goal_does_not_beat_what_meets_it() -> None:
    doubtful = [measured(0.01, 2.0, "uncertain")]
    assert speed_to_beat(doubtful, accuracy(0.0)) == 1.0
    assert speed_to_beat(doubtful, accuracy(0.0, "uncertain")) == 1.9


def test_what_was_never_timed_has_no_speed() -> None:
    assert speed_to_beat([measured(0.0, None)], accuracy(0.0)) == 1.0


VERDICTS = st.sampled_from(["meets", "uncertain", "misses"])
DROPS = st.integers(0, 5).map(lambda step: step / 100)
SPEEDUPS = st.none() | st.integers(5, 20).map(lambda step: step / 10)


@given(
    st.lists(st.builds(measured, DROPS, SPEEDUPS, VERDICTS)), st.builds(accuracy, DROPS, VERDICTS)
)
def test_what_is_forgotten_never_mattered(known: list[Measurement], candidate: Accuracy) -> None:
    assert speed_to_beat(known, candidate) == by_definition(known, candidate)
