from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.batch.shares import Claim, Turn, next_turn, shares

HOUR = 3600.0
SECONDS = st.floats(0, 1e6, allow_nan=False)
#: Studies that have no own time budget, or one of some seconds at least.
LIMITS = st.one_of(st.just(math.inf), st.floats(10, 1e5))
BUDGETS = st.floats(1e3, 1e6)


@st.composite
def any_claims(draw: st.DrawFn) -> list[Claim]:
    """Claims of any state, even of studies that took more than they were given."""
    one = st.builds(Claim, SECONDS, LIMITS, st.booleans())
    return draw(st.lists(one, min_size=1, max_size=12))


def test_equal_studies_get_equal_shares() -> None:
    assert shares(8 * HOUR, [Claim(0)] * 4) == [2 * HOUR] * 4


def test_what_a_short_study_leaves_is_shared_by_the_others() -> None:
    claims = [Claim(0), Claim(0, limit_s=HOUR), Claim(0)]
    assert shares(9 * HOUR, claims) == [4 * HOUR, HOUR, 4 * HOUR]


def test_a_study_that_ended_keeps_what_it_took_and_leaves_the_rest() -> None:
    claims = [Claim(0.5 * HOUR, over=True), Claim(0), Claim(0)]
    assert shares(8 * HOUR, claims) == [0.5 * HOUR, 3.75 * HOUR, 3.75 * HOUR]


def test_what_one_took_too_much_is_missing_to_all_others_alike() -> None:
    claims = [Claim(5 * HOUR, over=True), Claim(0), Claim(0)]
    assert shares(8 * HOUR, claims) == [5 * HOUR, 1.5 * HOUR, 1.5 * HOUR]


def test_without_a_budget_a_studys_own_limit_is_its_share() -> None:
    assert shares(math.inf, [Claim(0, HOUR), Claim(0)]) == [HOUR, math.inf]


def test_new_studies_run_in_the_order_in_which_they_are_named() -> None:
    assert next_turn(8 * HOUR, [Claim(0, HOUR), Claim(0)]) == Turn(0, HOUR)


@pytest.mark.parametrize("budget_s", [9 * HOUR, math.inf])
def test_when_a_batch_goes_on_the_study_with_the_smallest_part_of_its_share_is_next(
    budget_s: float,
) -> None:
    claims = [Claim(2 * HOUR, 3 * HOUR), Claim(HOUR, 3 * HOUR), Claim(HOUR, over=True)]
    assert next_turn(budget_s, claims) == Turn(1, 2 * HOUR)


def test_nobody_is_next_when_all_had_their_turn_or_the_time_is_used_up() -> None:
    assert next_turn(HOUR, [Claim(10, over=True)]) is None
    assert next_turn(HOUR, [Claim(HOUR, over=True), Claim(0)]) is None
    assert next_turn(HOUR, []) is None


@given(BUDGETS, any_claims())
def test_shares_use_up_the_budget_and_never_exceed_it(budget_s: float, claims: list[Claim]) -> None:
    found = shares(budget_s, claims)
    spent_s = sum(claim.spent_s for claim in claims)
    assert sum(found) <= max(budget_s, spent_s) * (1 + 1e-9)
    # Whoever is not given all it may have is missing nothing that is left.
    wanting = [
        share_s
        for claim, share_s in zip(claims, found)
        if not claim.over and share_s < claim.limit_s and share_s > claim.spent_s
    ]
    if wanting:
        assert sum(found) == pytest.approx(budget_s)
        assert max(wanting) == pytest.approx(min(wanting))


@given(BUDGETS, any_claims())
def test_nobody_gets_less_than_another_that_could_give(
    budget_s: float, claims: list[Claim]
) -> None:
    found = list(zip(claims, shares(budget_s, claims)))
    for one, share_s in found:
        if not one.over and share_s < one.limit_s:
            gaining = [its_s for other, its_s in found if not other.over and its_s > other.spent_s]
            assert max(gaining, default=0.0) <= share_s * (1 + 1e-9)


@given(BUDGETS, st.lists(LIMITS, min_size=1, max_size=8), st.data())
def test_a_night_with_interruptions_keeps_to_its_budget_and_starves_no_study(
    budget_s: float, limits: list[float], data: st.DataObject
) -> None:
    """Each turn uses any part of what it is given; some are interrupted, and have another."""
    claims = [Claim(0, limit_s) for limit_s in limits]
    granted = [0.0] * len(limits)
    interruptions = data.draw(st.integers(0, 8))
    while turn := next_turn(budget_s, claims):
        claim = claims[turn.index]
        granted[turn.index] = claim.spent_s + turn.left_s
        spent_s = claim.spent_s + data.draw(st.floats(0, 1)) * turn.left_s
        interruptions -= 1
        claims[turn.index] = replace(claim, spent_s=spent_s, over=interruptions < 0)
    assert sum(claim.spent_s for claim in claims) <= budget_s * (1 + 1e-9)
    for limit_s, granted_s in zip(limits, granted):
        assert granted_s >= min(limit_s, budget_s / len(limits)) * (1 - 1e-9)
