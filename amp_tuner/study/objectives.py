"""What a sampler is told of a measurement."""

from __future__ import annotations

from amp_tuner.judge.goal import Goal
from amp_tuner.records import Measurement
from amp_tuner.search.proposal import NEVER_TIMED, Objectives


def objectives_of(measurement: Measurement, goal: Goal) -> Objectives:
    """Speed-up, drop, and by how much the goal is missed."""
    timing, accuracy = measurement.timing, measurement.accuracy
    beyond = goal.beyond(accuracy.score.value, accuracy.drop.value)
    # Feasible is what certainly meets the goal; a doubtful one violates it by a hair.
    violation = min(beyond, 0.0) if accuracy.verdict == "meets" else max(beyond, 1e-9)
    drop = accuracy.drop
    interval = (drop.low, drop.high)
    if timing is None:
        return Objectives(NEVER_TIMED, drop.value, violation, timed=False, drop_interval=interval)
    speedup = timing.speedup
    return Objectives(
        speedup.value,
        drop.value,
        violation,
        speedup_interval=(speedup.low, speedup.high),
        drop_interval=interval,
    )
