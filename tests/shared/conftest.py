"""A study in a database of each test's own, and its members."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amp_tuner.shared.address import Address
from amp_tuner.shared.ledger import Ledger, SharedStudy
from amp_tuner.shared.link import Link
from amp_tuner.shared.members import Membership
from amp_tuner.shared.schema import make_tables

STUDY = SharedStudy({"data": {"batch_size": 64}}, {"software": {}, "hardware": {}})
LEASE_S = 60.0


@pytest.fixture
def link(address: Address) -> Iterator[Link]:
    """The database, its tables made."""
    made = Link(address, patience_s=1.0)
    make_tables(made)
    yield made
    made.close()


class Member:
    """One member of the study ``night``."""

    def __init__(self, link: Link, name: str) -> None:
        self.ledger = Ledger(link, "night", name)
        self.ledger.found_or_made(STUDY)
        self.membership = Membership(link, "night", name, LEASE_S)
        self.rank = self.membership.enter({"host": name})


@pytest.fixture
def first(link: Link) -> Member:
    return Member(link, "first")


@pytest.fixture
def second(link: Link, first: Member) -> Member:
    return Member(link, "second")
