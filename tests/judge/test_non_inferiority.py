from __future__ import annotations

from dataclasses import replace

import pytest

from amp_tuner.judge.non_inferiority import (
    certainly_inferior,
    less_accurate,
    slower,
    verdict_lost,
)
from amp_tuner.records import Interval, Measurement
from tests.results.examples import ACCURACY, TIMING
from tests.results.examples import trial as example

MEASURED = Measurement(example().measurement.effective, ACCURACY, TIMING)


@pytest.mark.parametrize(
    ("ratio", "why"),
    [
        (Interval(1.0, 0.995, 1.005), None),
        (Interval(0.993, 0.9901, 0.996), None),
        # Not shown to be as fast: noise keeps the move.
        (Interval(1.0, 0.98, 1.02), "perhaps slower"),
        (Interval(1.2, 0.9, 1.5), "perhaps slower"),
        (Interval(0.98, 0.975, 0.985), "certainly slower"),
        # Exact, as a device model's is.
        (Interval(0.995, 0.995, 0.995), None),
        (Interval(0.98, 0.98, 0.98), "certainly slower, 0.980 times as fast"),
    ],
)
def test_speed_must_certainly_be_within_a_percent_of_the_originals(
    ratio: Interval, why: str | None
) -> None:
    found = slower(ratio)
    assert found is None if why is None else why in (found or "")


def test_a_verdict_may_get_better_but_not_worse() -> None:
    verdicts = ("misses", "uncertain", "meets")
    lost = {(a, b) for a in verdicts for b in verdicts if verdict_lost(a, b)}
    assert lost == {("meets", "uncertain"), ("meets", "misses"), ("uncertain", "misses")}


def test_accuracy_is_lost_with_the_verdict_or_where_a_paired_test_finds_it_worse() -> None:
    uncertain = replace(ACCURACY, verdict="uncertain")
    assert less_accurate(ACCURACY, ACCURACY, 0.5) is None
    assert less_accurate(uncertain, ACCURACY, 0.026) is None
    assert less_accurate(ACCURACY, uncertain, 1.0) == (
        "accuracy: it may miss the goal, the original certainly meets the goal"
    )
    assert less_accurate(ACCURACY, ACCURACY, 0.024) == (
        "accuracy: it is worse than the original (paired test, p = 0.024)"
    )


def test_without_a_paired_test_the_drops_must_not_differ_with_certainty() -> None:
    worse = replace(ACCURACY, drop=Interval(0.002, 0.0011, 0.003))
    overlapping = replace(ACCURACY, drop=Interval(0.002, 0.001, 0.003))
    assert less_accurate(ACCURACY, worse, None) == "accuracy: it certainly loses more"
    assert less_accurate(ACCURACY, overlapping, None) is None


def test_what_the_search_has_measured_may_be_enough_to_rule_a_setting_out() -> None:
    slow = replace(MEASURED, timing=replace(TIMING, speedup=Interval(1.2, 1.19, 1.21)))
    close = replace(MEASURED, timing=replace(TIMING, speedup=Interval(1.28, 1.27, 1.29)))
    misses = replace(MEASURED, accuracy=replace(ACCURACY, verdict="misses"))
    assert certainly_inferior(MEASURED, MEASURED) is None
    assert certainly_inferior(MEASURED, close) is None
    assert "certainly slower" in (certainly_inferior(MEASURED, slow) or "")
    assert certainly_inferior(MEASURED, misses) == "accuracy: it certainly misses the goal"
    untimed = replace(MEASURED, timing=None)
    assert "before it was timed" in (certainly_inferior(MEASURED, untimed) or "")
