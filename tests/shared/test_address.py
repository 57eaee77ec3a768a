"""Which addresses there are, and what is shown of them."""

from __future__ import annotations

import pytest

from amp_tuner.config.storage import address_problem, file_problem, has_password
from amp_tuner.errors import InputError
from amp_tuner.shared.address import address_of


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://tuner@db.example:5432/tuning",
        "postgresql://db.example/tuning",
        "postgresql:///?service=tuning",
        "postgresql:///tuning?host=/run/postgresql",
        "postgresql://tuner@[::1]/tuning?sslmode=verify-full",
        "mysql://tuner@db.example/tuning",
        "env:TUNING",
    ],
)
def test_what_may_stand_in_a_study_file(address: str) -> None:
    assert file_problem(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:secret@db/x",
        "postgresql://me:se@cret@db/x",
        "postgresql://me:@secret@db/x",
        "mysql://:secret@db/x",
        "postgresql://db/x?user=me&password=secret",
        "postgresql://db/x?PASSWORD=secret",
        "postgresql://db/x?sslpassword=secret",
        "postgresql://me:se/cret@db/x",
        "postgresql://me:se?cret@db/x",
        "postgresql://me:12/secret@db/x",
        "postgresql://me:12?secret@db/x",
        "postgresql://me:se#cret@db/x",
    ],
)
def test_no_password_stands_in_a_study_file_nor_in_the_message(address: str) -> None:
    problem = file_problem(address)
    assert problem is not None
    assert "cret" not in problem


@pytest.mark.parametrize(
    "address",
    [
        *("", "db", "sqlite:///x.db", "postgresql:tuning", "postgres://db/x", "env:", "env:A B"),
        *("mysql://db", "mysql:///x", "postgresql://db/x/y", "postgresql://db:port/x", 5),
    ],
)
def test_what_is_no_address(address: object) -> None:
    problem = file_problem(address)
    assert problem is not None
    assert "allowed: " in problem


def test_a_password_in_the_environment_is_all_right() -> None:
    address = "postgresql://me:se%2Fcret@db:1/x"
    assert has_password(address)
    assert address_problem(address) is None
    found = address_of("env:TUNING", {"TUNING": f" {address}\n"})
    assert found.url.password == "se/cret"
    assert found.url.drivername == "postgresql+psycopg"
    assert found.shown == "postgresql database x on db:1 (env:TUNING)"


def test_what_an_address_says_itself_is_not_overruled() -> None:
    options = address_of("postgresql://db/x?connect_timeout=3", {}).options()
    assert "connect_timeout" not in options
    assert options["tcp_user_timeout"] == 15000


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(InputError, match="environment variable TUNING, which is to hold"):
        address_of("env:TUNING", {"TUNING": " "})
