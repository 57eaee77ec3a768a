from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.judge import front as fronts
from amp_tuner.judge.front import (
    CANDIDATE,
    DEFAULT_AMP,
    FLOAT32,
    Contender,
    best_of,
    front_of,
    in_doubt,
)
from amp_tuner.records import Interval

FP32 = Contender(0, Interval(1, 1, 1), Interval(0, 0, 0), "meets", FLOAT32)


def point(
    number: int,
    speedup: float,
    drop: float,
    *,
    noise: float = 0.002,
    doubt: float = 0.0002,
    verdict: str = "meets",
    role: str = CANDIDATE,
) -> Contender:
    """A contender with symmetric intervals: relative ``noise``, absolute ``doubt``."""
    return Contender(
        number,
        Interval(speedup, speedup * (1 - noise), speedup * (1 + noise)),
        Interval(drop, drop - doubt, drop + doubt),
        verdict,
        role,
    )


def ties(front: fronts.Front) -> dict[int, tuple[int, ...]]:
    return {entry.number: entry.tied_with for entry in front.entries}


def test_a_clear_trade_off_stays_whole() -> None:
    front = front_of([FP32, point(1, 1.2, 0.001), point(2, 1.5, 0.01)])
    assert front.members() == (2, 1, 0)
    assert (front.fastest, front.safest) == (2, 0)
    assert ties(front) == {0: (), 1: (), 2: ()}


def test_exact_speedups_differ_with_certainty_beyond_a_tie_and_never_within_one() -> None:
    exact = [
        point(1, 1.2, 0.001, noise=0),
        point(2, 1.215, 0.003, noise=0),
        point(3, 1.21, 0.001, noise=0),
    ]
    front = front_of([FP32, *exact])
    # 2 is 1.2 % faster than 1, but only 0.4 % than 3, which certainly loses less accuracy.
    assert front.members() == (3, 0)
    assert front_of([FP32, *exact[:2]]).members() == (2, 1, 0)


def test_what_another_beats_on_both_axes_is_not_listed() -> None:
    front = front_of([FP32, point(1, 1.2, 0.001), point(2, 1.1, 0.002)])
    assert front.members() == (1, 0)


def test_slightly_safer_within_the_doubt_but_certainly_slower_leaves() -> None:
    front = front_of([FP32, point(1, 1.5, 0.0021), point(2, 1.2, 0.0020)])
    assert front.members() == (1, 0)


def test_slightly_faster_within_the_noise_but_certainly_less_accurate_leaves() -> None:
    front = front_of([FP32, point(1, 1.505, 0.01), point(2, 1.5, 0.002)])
    assert front.members() == (2, 0)


def test_a_difference_below_one_percent_is_a_tie_however_narrow_the_intervals() -> None:
    nearly, clearly = point(1, 1.508, 0.01, noise=1e-5), point(1, 1.517, 0.01, noise=1e-5)
    rival = point(2, 1.5, 0.002, noise=1e-5)
    assert front_of([FP32, nearly, rival]).members() == (2, 0)
    assert front_of([FP32, clearly, rival]).members() == (1, 2, 0)


def test_what_is_tied_on_both_axes_stays_and_says_so() -> None:
    front = front_of([FP32, point(1, 1.502, 0.0021), point(2, 1.5, 0.0020)])
    assert front.members() == (1, 2, 0)
    assert ties(front) == {1: (2,), 2: (1,), 0: ()}


def test_one_that_leaves_takes_no_other_with_it() -> None:
    """2 would dominate 3, but 1 dominates 2, and 1 leaves 3 alone: so 3 stays."""
    one = point(1, 1.50, 0.0100, noise=0.002, doubt=0.0001)
    two = point(2, 1.40, 0.0098, noise=0.050, doubt=0.0010)
    three = point(3, 1.35, 0.0080, noise=0.002, doubt=0.0001)
    assert fronts._dominates(*fronts._fastest_first([one, two]))
    assert front_of([FP32, one, two, three]).members() == (1, 3, 0)


def test_settings_that_dominate_each_other_in_a_circle_leave_the_fastest() -> None:
    """m beats x, x beats j on speed; j beats k, k beats m on accuracy; the other axis is tied."""
    m = Contender(1, Interval(1.6, 1.59, 1.61), Interval(0.030, 0.029, 0.031), "meets")
    x = Contender(2, Interval(1.4, 1.39, 1.41), Interval(0.020, 0.005, 0.035), "meets")
    k = Contender(3, Interval(1.39, 1.1, 1.7), Interval(0.019, 0.018, 0.020), "meets")
    j = Contender(4, Interval(1.2, 1.19, 1.21), Interval(0.010, 0.009, 0.011), "meets")
    order = fronts._fastest_first([m, x, k, j])
    circle = [(0, 1), (1, 3), (3, 2), (2, 0)]
    assert all(fronts._dominates(order[a], order[b]) for a, b in circle)
    assert front_of([FP32, m, x, k, j]).members() == (1, 4, 0)


def test_references_are_listed_though_others_beat_them() -> None:
    default = point(1, 0.8, 0.002, role=DEFAULT_AMP)
    front = front_of([FP32, default, point(2, 1.3, 0.001)])
    assert front.members() == (2, 0)
    assert [(e.number, e.member, e.reference) for e in front.entries] == [
        (2, True, False),
        (0, True, True),
        (1, False, True),
    ]


def test_a_reference_that_was_never_timed_is_listed_last() -> None:
    untimed = replace(point(1, 1, 0.3, role=DEFAULT_AMP, verdict="misses"), speedup=None)
    front = front_of([untimed, FP32, point(2, 1.3, 0.001)])
    assert [entry.number for entry in front.entries] == [2, 0, 1]
    assert front.members() == (2, 0)


def test_a_candidate_that_was_never_timed_is_not_listed() -> None:
    front = front_of([FP32, replace(point(1, 1, 0.3, verdict="misses"), speedup=None)])
    assert [entry.number for entry in front.entries] == [0]


def test_best_is_the_fastest_that_certainly_meets_the_goal() -> None:
    contenders = [
        FP32,
        point(1, 1.2, 0.001),
        point(2, 1.4, 0.008),
        point(3, 1.5, 0.010, verdict="uncertain"),
        point(4, 1.8, 0.020, verdict="misses"),
    ]
    assert front_of(contenders).best == 2


def test_a_tie_with_fp32_never_beats_fp32() -> None:
    assert best_of([FP32, point(1, 1.03, 0.0, noise=0.04)]) == 0
    assert best_of([FP32, point(1, 1.008, 0.0, noise=0.001)]) == 0
    assert best_of([FP32, point(1, 1.03, 0.0, noise=0.01)]) == 1
    # A larger estimate that is hardly known does not hide a certain one.
    assert best_of([FP32, point(1, 1.3, 0.0, noise=0.01), point(2, 1.8, 0.0, noise=0.9)]) == 1


def test_lists_that_tie_with_default_amp_leave_default_amp_best() -> None:
    default = point(1, 1.30, 0.001, role=DEFAULT_AMP)
    assert best_of([FP32, default, point(2, 1.302, 0.001)]) == 1
    assert best_of([FP32, default, point(2, 1.350, 0.001)]) == 2
    assert best_of([FP32, replace(default, verdict="misses"), point(2, 1.302, 0.001)]) == 2


def test_lists_that_tie_with_a_default_amp_that_ties_with_fp32_leave_that_default() -> None:
    default = point(1, 1.02, 0.001, noise=0.03, role=DEFAULT_AMP)
    assert best_of([FP32, default]) == 0
    assert best_of([FP32, default, point(2, 1.04, 0.001, noise=0.02)]) == 1
    assert best_of([FP32, default, point(2, 1.15, 0.001, noise=0.02)]) == 2
    # A faster estimate that is hardly known hides none that certainly beats the default.
    hardly = point(3, 1.3, 0.001, noise=0.25)
    assert best_of([FP32, default, hardly, point(2, 1.15, 0.001, noise=0.02)]) == 2
    other = point(4, 1.16, 0.001, noise=0.08, role=DEFAULT_AMP)
    assert best_of([FP32, default, other, point(2, 1.15, 0.001, noise=0.02)]) == 4
    assert best_of([FP32, replace(default, verdict="misses"), point(2, 1.04, 0.001)]) == 2


def test_a_default_amp_that_seems_slower_than_the_answer_so_far_stands_for_nothing() -> None:
    lists = point(2, 1.14, 0.001, noise=0.02)
    slow = point(3, 0.97, 0.001, noise=0.2, role=DEFAULT_AMP)
    assert best_of([FP32, slow, lists]) == 2
    certain = point(1, 1.10, 0.001, noise=0.02, role=DEFAULT_AMP)
    assert best_of([FP32, certain, slow, lists]) == 2
    assert best_of([FP32, certain, point(3, 1.05, 0.001, noise=0.2, role=DEFAULT_AMP), lists]) == 2


def test_where_fp32_misses_the_goal_a_slower_setting_can_be_best() -> None:
    misses = replace(FP32, verdict="misses")
    assert best_of([misses, point(1, 0.9, -0.01)]) == 1
    assert best_of([misses, point(1, 0.9, -0.01, verdict="uncertain")]) is None


def test_the_faster_of_two_fp32_trials_is_the_one_to_beat() -> None:
    without_onednn = point(5, 0.6, 0.0, role=FLOAT32)
    assert best_of([FP32, without_onednn, point(1, 0.9, 0.0)]) == 0


def test_best_is_listed_even_where_it_is_not_on_the_front() -> None:
    front = front_of([FP32, point(1, 1.5, 0.002, verdict="uncertain"), point(2, 1.2, 0.0021)])
    assert front.best == 2
    assert [(entry.number, entry.member) for entry in front.entries] == [
        (1, True),
        (2, False),
        (0, True),
    ]


def test_the_knee_gains_most_for_what_it_costs() -> None:
    contenders = [FP32, point(1, 1.4, 0.002), point(2, 1.45, 0.010), point(3, 1.5, 0.02)]
    assert front_of(contenders).knee == 1


def test_a_point_on_the_bad_side_of_the_line_is_no_knee() -> None:
    assert front_of([FP32, point(1, 1.1, 0.019), point(2, 1.5, 0.02)]).knee == 2


def test_a_front_of_one_is_its_own_knee_and_ends() -> None:
    front = front_of([FP32])
    assert (front.best, front.knee, front.fastest, front.safest) == (0, 0, 0, 0)


def test_doubt_names_what_more_measuring_could_move() -> None:
    contenders = [
        FP32,
        point(1, 1.50, 0.0020),
        point(2, 1.495, 0.0021),
        point(3, 1.3, 0.0100),
    ]
    assert front_of(contenders).members() == (1, 0)
    assert in_doubt(contenders) == (1, 2)


@pytest.mark.parametrize(
    ("contenders", "message"),
    [
        ([], "at least one timed"),
        ([replace(FP32, speedup=None)], "at least one timed"),
        ([FP32, FP32], "may come once"),
        ([replace(FP32, speedup=Interval(1, 0, 2))], "above 0"),
        ([replace(FP32, drop=Interval(float("nan"), 0, 0))], "not an interval"),
        ([replace(FP32, speedup=Interval(1, 2, 3))], "not an interval"),
    ],
)
def test_impossible_figures_are_refused(contenders: list[Contender], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        front_of(contenders)


@st.composite
def studies(draw: Any) -> list[Contender]:
    """FP32 and up to eleven others on a coarse grid, so that ties and equals are common."""
    steps = st.integers(0, 6)
    others = draw(st.lists(st.tuples(steps, steps, steps, steps, steps, steps), max_size=11))
    verdicts, roles = ("meets", "misses", "uncertain"), (CANDIDATE, DEFAULT_AMP)
    contenders = [FP32]
    for number, (gain, drop, below, above, under, over) in enumerate(others, start=1):
        speedup, loss = 0.9 + 0.05 * gain, 0.001 * drop
        contenders.append(
            Contender(
                number,
                Interval(speedup, speedup - 0.02 * below, speedup + 0.02 * above),
                Interval(loss, loss - 0.0004 * under, loss + 0.0004 * over),
                verdicts[(gain + drop) % 3],
                roles[number % 5 == 0],
            )
        )
    return contenders


@given(studies(), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(study: list[Contender], random: Any) -> None:
    shuffled = list(study)
    random.shuffle(shuffled)
    assert front_of(shuffled) == front_of(study)
    assert in_doubt(shuffled) == in_doubt(study)


@given(studies())
def test_no_member_is_certainly_dominated_by_another(study: list[Contender]) -> None:
    members = front_of(study).members()
    timed = fronts._fastest_first([one for one in study if one.number in members])
    assert not any(fronts._dominates(a, b) for a, b in itertools.permutations(timed, 2))


@given(studies())
def test_the_front_of_the_members_is_the_members(study: list[Contender]) -> None:
    members = front_of(study).members()
    again = front_of([one for one in study if one.number in members])
    assert again.members() == members


@given(studies())
def test_members_are_on_the_classical_front_by_brute_force(study: list[Contender]) -> None:
    def beats(a: Contender, b: Contender) -> bool:
        assert a.speedup
        assert b.speedup
        no_worse = a.speedup.value >= b.speedup.value and a.drop.value <= b.drop.value
        return no_worse and (a.speedup.value, a.drop.value) != (b.speedup.value, b.drop.value)

    unbeaten = {b.number for b in study if not any(beats(a, b) for a in study)}
    classical = {one.number for one in fronts._classical(fronts._fastest_first(study))}
    assert classical == unbeaten
    assert set(front_of(study).members()) <= unbeaten


@given(studies())
def test_best_meets_the_goal_and_references_are_listed(study: list[Contender]) -> None:
    front = front_of(study)
    listed = {entry.number for entry in front.entries}
    assert {one.number for one in study if one.role != CANDIDATE} <= listed
    best = next(one for one in study if one.number == front.best)
    assert best.verdict == "meets"
    assert best.number in listed
    # A default AMP stands for lists that are certainly faster than FP32, but not than it.
    assert best.speedup
    stands = best.role == DEFAULT_AMP and best.speedup.value >= 1
    assert best.role == FLOAT32 or best.speedup.low > 1 or stands
