"""What a goal means, and when an interval meets it."""

from __future__ import annotations

import pytest

from amp_tuner.errors import InputError
from amp_tuner.judge.goal import Goal, check_baseline, goal_problem, parse_goal
from amp_tuner.judge.metrics import METRICS, find_metric
from amp_tuner.records import Interval

ANY = Interval(0.5, 0.0, 1.0)


@pytest.mark.parametrize(
    ("written", "goal"),
    [
        ("99%", Goal("relative", 0.01)),
        ("99.9%", Goal("relative", 0.001)),
        ("100 %", Goal("relative", 0.0)),
        ({"max_drop": 0.01}, Goal("relative", 0.01)),
        ({"max_drop": 2, "kind": "absolute"}, Goal("absolute", 2.0)),
        ({"min": 40}, Goal("min", 40.0)),
        ({"max": -1.5}, Goal("max", -1.5)),
    ],
)
def test_the_forms_of_a_goal(written: object, goal: Goal) -> None:
    assert parse_goal(written) == goal


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.01, "meets"),
        (0.005, 0.02, "uncertain"),
        (0.0101, 0.02, "misses"),
        (0.01, 0.02, "uncertain"),
    ],
)
def test_a_drop_meets_or_misses_only_with_its_whole_interval(
    low: float, high: float, verdict: str
) -> None:
    assert parse_goal("99%").verdict(ANY, Interval(0.0, low, high)) == verdict


def test_min_and_max_look_at_the_score() -> None:
    drop = Interval(5.0, 5.0, 5.0)
    assert Goal("min", 0.5).verdict(Interval(0.6, 0.5, 0.7), drop) == "meets"
    assert Goal("min", 0.5).verdict(Interval(0.4, 0.3, 0.49), drop) == "misses"
    assert Goal("min", 0.5).verdict(Interval(0.5, 0.4, 0.6), drop) == "uncertain"
    assert Goal("max", 0.5).verdict(Interval(0.4, 0.3, 0.5), drop) == "meets"
    assert Goal("max", 0.5).verdict(Interval(0.6, 0.51, 0.7), drop) == "misses"


@pytest.mark.parametrize("baseline", [0.0, -0.2])
def test_a_relative_drop_of_no_positive_score_proposes_an_absolute_one(baseline: float) -> None:
    with pytest.raises(InputError, match=r"\$\.accuracy\.goal.*max_drop: 0.01, kind: absolute"):
        check_baseline(parse_goal("99%"), baseline)
    check_baseline(Goal("absolute", 0.01), baseline)


def test_bounds_must_be_on_the_metric_s_bad_side() -> None:
    assert goal_problem(Goal("min", 1.0), METRICS["rmse"]) is not None
    assert goal_problem(Goal("max", 1.0), METRICS["auc"]) is not None
    assert goal_problem(Goal("max", 1.0), METRICS["rmse"]) is None


def test_names_are_built_in_top_k_or_a_function() -> None:
    top3 = find_metric("top3")
    assert top3 is not None
    assert top3.k == 3
    own = find_metric("pack.mod:score", "minimize")
    assert own is not None
    assert not own.higher_is_better
    assert [find_metric(name) for name in ("top0", "auk", "mod:", ":f", "mod:f()", "")] == [
        None
    ] * 6


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("99.9%", "at most 0.1 % worse than FP32's"),
        ({"max_drop": 0.01, "kind": "relative"}, "at most 1 % worse than FP32's"),
        ({"max_drop": 0.02, "kind": "absolute"}, "at most 0.02 worse than FP32's"),
        ({"min": 40}, "at least 40"),
        ({"max": 0.5}, "at most 0.5"),
    ],
)
def test_a_goal_is_said_in_words(written: object, said: str) -> None:
    assert str(parse_goal(written)) == said
