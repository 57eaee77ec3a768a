"""Leases by the database's clock."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from amp_tuner.shared.link import Link
from amp_tuner.shared.members import Membership
from amp_tuner.shared.tables import DatabaseNow
from tests.shared.conftest import Member


def test_members_have_ranks_which_they_keep(link: Link, first: Member, second: Member) -> None:
    assert (first.rank, second.rank) == (0, 1)
    first.membership.leave()
    assert first.membership.enter({"host": "again"}) == 0
    assert Member(link, "third").rank == 2


def test_a_lease_runs_until_it_is_given_up(first: Member, second: Member) -> None:
    assert first.ledger.look(0).alive == {"first", "second"}
    assert first.membership.process() == {"host": "first"}
    first.membership.leave()
    assert first.membership.process() is None
    assert second.ledger.look(0).alive == {"second"}
    first.membership.renew()
    assert second.ledger.look(0).alive == {"first", "second"}


def test_a_lease_that_is_not_renewed_ends_by_itself(link: Link, first: Member) -> None:
    short = Membership(link, "night", "short", lease_s=0.05)
    short.enter({})
    while "short" in first.ledger.look(0).alive:
        time.sleep(0.01)
    assert first.ledger.look(0).alive == {"first"}


def test_this_machines_clock_does_not_matter(
    link: Link, first: Member, second: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7200)
    assert second.ledger.look(0).alive == {"first", "second"}
    now = link.run(lambda connection: connection.scalar(select(DatabaseNow())))
    assert now is not None
    assert abs(now - real()) < 60
