"""What members of a shared study may take, and what comes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from amp_tuner.shared.address import Address
from amp_tuner.shared.ledger import SharedStudy
from amp_tuner.shared.link import Link
from amp_tuner.shared.schema import make_tables
from tests.shared.conftest import STUDY, Member


def test_the_first_member_says_which_study_it_is(first: Member, second: Member) -> None:
    other = SharedStudy({"data": {"batch_size": 32}}, {})
    found = first.ledger.found()
    assert second.ledger.found_or_made(other) == found
    assert found is not None
    assert replace(found, instance="") == STUDY


def test_all_use_the_baseline_that_was_told_first(first: Member, second: Member) -> None:
    assert first.ledger.agree(None) is None
    assert second.ledger.agree(False) is False
    assert first.ledger.agree(True) is False
    assert first.ledger.agree(None) is False


def test_a_graph_is_claimed_by_one_member(first: Member, second: Member) -> None:
    assert first.ledger.claim("graph a")
    assert not second.ledger.claim("graph a")
    assert second.ledger.claim("graph b")
    # Its answer may have been lost.
    assert first.ledger.claim("graph a")
    assert first.ledger.look(0).claims == {"graph a": "first", "graph b": "second"}


def test_what_a_member_that_is_gone_claimed_is_free(first: Member, second: Member) -> None:
    assert first.ledger.claim("graph a")
    first.membership._expire_in(-1.0)
    assert not second.ledger.claim("graph a", may_take_over=False)
    assert second.ledger.claim("graph a")
    first.membership.renew()
    assert not first.ledger.claim("graph a")


def test_a_graph_that_has_a_record_is_not_claimed_again(first: Member, second: Member) -> None:
    first.ledger.hold(0)
    assert first.ledger.claim("graph a")
    assert first.ledger.record(0, "{}", "graph a", measured=True) == ("{}", None)
    assert not second.ledger.claim("graph a")
    assert second.ledger.look(0).claims == {}


def test_the_first_record_of_a_trial_stays(first: Member, second: Member) -> None:
    first.ledger.hold(0)
    assert second.ledger.record(0, '"mine"', "graph a", measured=True) == ('"mine"', None)
    assert first.ledger.record(0, '"late"', "graph a", measured=True) == ('"mine"', None)
    assert first.ledger.records([0]) == {0: '"mine"'}


def test_the_first_record_of_a_graph_stays(first: Member, second: Member) -> None:
    assert first.ledger.record(0, '"first"', "graph a", measured=True) == ('"first"', None)
    assert second.ledger.record(1, '"late"', "graph a", measured=True) == ('"late"', 0)
    assert second.ledger.look(0).news == (0,)
    # Told the other's result, it runs nothing of its own.
    assert second.ledger.record(1, '"told"', None, measured=False) == ('"told"', None)
    assert second.ledger.record(2, '"told"', None, measured=False) == ('"told"', None)


def test_news_come_in_the_order_in_which_trials_ended(first: Member, second: Member) -> None:
    assert first.ledger.look(0).news == ()
    second.ledger.record(3, "{}", None, measured=False)
    first.ledger.record(1, "{}", None, measured=False)
    look = first.ledger.look(0)
    assert look.news == (3, 1)
    first.ledger.record(2, "{}", None, measured=False)
    assert first.ledger.look(look.reached).news == (2,)


def test_a_trial_is_adopted_by_one_member_once_its_own_is_gone(
    link: Link, first: Member, second: Member
) -> None:
    third = Member(link, "third")
    first.ledger.hold(0)
    assert not second.ledger.adopt(0, "first")
    first.membership.leave()
    assert second.ledger.adopt(0, "first")
    assert not third.ledger.adopt(0, "first")
    assert third.ledger.look(0).unfinished == {0: "second"}
    # Its answer may have been lost.
    assert second.ledger.adopt(0, "first")


def test_a_trial_whose_member_died_before_it_wrote_it_down_is_adopted(
    first: Member, second: Member
) -> None:
    assert not second.ledger.adopt(0, "first")
    first.membership.leave()
    assert second.ledger.adopt(0, "first")
    assert second.ledger.look(0).unfinished == {0: "second"}


def test_a_member_takes_its_own_trials_up_again(first: Member) -> None:
    first.ledger.hold(0)
    assert first.ledger.adopt(0, "first")
    assert first.ledger.adopt(1, "first")


def test_what_has_ended_is_not_adopted(first: Member, second: Member) -> None:
    first.ledger.hold(0)
    first.ledger.record(0, "{}", None, measured=False)
    first.membership.leave()
    assert not second.ledger.adopt(0, "first")


def test_no_more_are_permitted_than_the_budget_leaves(first: Member, second: Member) -> None:
    assert first.ledger.permit(2)
    assert first.ledger.permit(2)
    assert second.ledger.permit(2)
    first.ledger.record(0, "{}", "graph a", measured=True)
    assert not first.ledger.permit(2)
    # A trial that fails is none of those that are counted.
    second.ledger.record(1, "{}", "graph b", measured=False)
    assert first.ledger.permit(2)
    first.membership.leave()
    assert second.ledger.permit(2)


def test_who_says_that_it_goes_leaves_its_graphs_to_others_at_once(
    first: Member, second: Member
) -> None:
    assert first.ledger.claim("graph a")
    assert not second.ledger.claim("graph a", may_take_over=False)
    first.membership.leave()
    assert second.ledger.look(0).left == {"first"}
    assert second.ledger.claim("graph a", may_take_over=False)


def test_nothing_more_is_permitted_once_the_search_is_over(first: Member, second: Member) -> None:
    first.ledger.end("time budget used up")
    assert not second.ledger.permit(9)
    assert second.ledger.permit(9, heed_end=False), "of an earlier run"
    first.ledger.end(None)
    assert first.ledger.permit(9)


def test_a_study_is_not_that_of_another_database(first: Member, second: Member) -> None:
    mine, same = first.ledger.found(), second.ledger.found()
    assert mine is not None
    assert same == mine
    link = Link(Address(make_url("sqlite://"), "a database in memory"), patience_s=1.0)
    make_tables(link)
    other = Member(link, "first").ledger.found()
    link.close()
    assert other is not None
    assert (other.identity, other.instance != mine.instance) == (mine.identity, True)


def test_all_are_told_that_the_search_is_over(first: Member, second: Member) -> None:
    first.ledger.end("all 3 trials are measured")
    assert second.ledger.look(0).ended == "all 3 trials are measured"
    first.ledger.end(None)
    assert second.ledger.look(0).ended is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "record", "leave", "renew"]),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=30,
)


@settings(max_examples=25)
@given(steps=STEPS)
def test_whatever_members_do_a_graph_has_one_record_and_its_claim_one_holder(
    steps: list[tuple[str, int, int]],
) -> None:
    link = Link(Address(make_url("sqlite://"), "a database in memory"), patience_s=1.0)
    make_tables(link)
    members = [Member(link, name) for name in "abc"]
    #: By graph: who believes to hold it, and is at work.
    holders: dict[str, set[int]] = {}
    alive = {0, 1, 2}
    for number, (step, who, which) in enumerate(steps):
        member, graph = members[who], f"graph {which}"
        if step == "claim" and who in alive and member.ledger.claim(graph):
            holders.setdefault(graph, set()).add(who)
            assert holders[graph] & alive == {who}
        elif step == "record":
            _, twin = member.ledger.record(number, "{}", graph, measured=True)
            if twin is None:
                holders.pop(graph, None)
        elif step == "leave":
            member.membership.leave()
            alive.discard(who)
        elif step == "renew" and not any(who in held for held in holders.values()):
            member.membership.renew()
            alive.add(who)
    with link.engine.connect() as connection:
        graphs = connection.exec_driver_sql("SELECT graph FROM amp_tuner_trials").scalars().all()
    assert not graphs or max(Counter(graphs).values()) == 1
    link.close()
