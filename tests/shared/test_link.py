"""A database that is away for a while, or for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from amp_tuner.errors import InputError, StorageLost
from amp_tuner.shared.address import Address
from amp_tuner.shared.link import Link
from amp_tuner.shared.tables import DatabaseNow

SECRET = "p%40ss"


@pytest.fixture
def told(link: Link) -> list[tuple[str, Mapping[str, Any]]]:
    """What the link tells."""
    events: list[tuple[str, Mapping[str, Any]]] = []
    link.tell = lambda name, facts: events.append((name, facts))
    return events


class Away:
    """A database that is away for so many tries."""

    def __init__(self, tries: int) -> None:
        self.left = tries

    def __call__(self, connection: Connection) -> str:
        if self.left:
            self.left -= 1
            raise OperationalError("SELECT secret", {}, Exception("\n server closed\n Hint: x"))
        return str(connection.scalar(select(1)))


def test_what_fails_for_a_while_is_done_in_the_end(link: Link, told: list[Any]) -> None:
    before = link.steady_since_s
    assert link.run(Away(3)) == "1"
    assert [name for name, _ in told] == ["storage_lost", "storage_back"]
    assert told[0][1] == {"storage": link.shown, "why": "server closed"}
    assert link.steady_since_s > before


def test_what_comes_through_at_once_is_not_told(link: Link, told: list[Any]) -> None:
    assert link.run(Away(0)) == "1"
    assert told == []


def test_patience_has_an_end(link: Link, told: list[Any]) -> None:
    link.hurry(0.15)
    with pytest.raises(StorageLost, match=r"could not be used for 0.15 s .*: server closed;"):
        link.run(Away(10**6))
    assert [name for name, _ in told] == ["storage_lost"]


def test_a_cause_that_somebody_wrapped_is_found(link: Link) -> None:
    tries: list[int] = []

    def wrapped() -> str:
        tries.append(1)
        if len(tries) == 1:
            try:
                Away(1)(None)  # type: ignore[arg-type]
            except OperationalError as error:
                raise RuntimeError("an exception during the commit") from error
        return "done"

    assert link.patiently(wrapped) == "done"


def test_what_is_no_error_of_the_database_is_raised(link: Link) -> None:
    def wrong() -> None:
        raise KeyError("graph")

    with pytest.raises(KeyError):
        link.patiently(wrong)


def test_what_the_database_refuses_is_not_tried_again(link: Link, told: list[Any]) -> None:
    def refused(_: Connection) -> None:
        raise ProgrammingError("CREATE TABLE", {}, Exception("permission denied"))

    with pytest.raises(InputError, match=r"cannot use the \w+ database .*: permission denied"):
        link.run(refused)
    assert told == []


def test_an_operation_that_fails_changes_nothing(link: Link) -> None:
    def half(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO amp_tuner_format VALUES (9)")
        raise ProgrammingError("", {}, Exception("no"))

    with pytest.raises(InputError):
        link.run(half)
    count = "SELECT count(*) FROM amp_tuner_format"
    assert link.run(lambda connection: connection.exec_driver_sql(count).scalar()) == 1


def test_no_message_holds_the_password_in_any_spelling() -> None:
    url = make_url(f"postgresql+psycopg://me:{SECRET}@db/x?sslpassword=k%2Fey")
    address = Address(url, "postgresql database x on db")
    for text in ("no p@ss", "no p%40ss", "dsn host=db password=p@ss", "key k/ey, k%2Fey"):
        shown = address.without_secrets(text)
        assert not any(secret in shown for secret in ("p@ss", SECRET, "k/ey", "k%2Fey"))
    assert "p@ss" not in repr(address)
    assert address.without_secrets("") == "no reason given"


def test_time_is_the_databases(link: Link) -> None:
    times = [link.run(lambda one: one.scalar(select(DatabaseNow()))) for _ in range(2)]
    assert times[0] is not None
    assert times[0] <= (times[1] or 0)
