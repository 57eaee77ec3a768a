"""Tables that are there, are not, or are of another version."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, inspect

from amp_tuner.errors import InputError
from amp_tuner.shared.address import Address
from amp_tuner.shared.link import Link
from amp_tuner.shared.schema import make_tables, together
from amp_tuner.shared.tables import FORMATS, METADATA


def test_tables_are_made_once(link: Link) -> None:
    make_tables(link)
    assert set(inspect(link.engine).get_table_names()) == set(METADATA.tables)


def test_nothing_is_made_beside_tables_of_a_newer_version(address: Address) -> None:
    link = Link(address, patience_s=1.0)
    FORMATS.create(link.engine)
    link.run(lambda connection: connection.execute(insert(FORMATS).values(format=2)))
    with pytest.raises(InputError, match="tables have format 2, this one writes 1"):
        make_tables(link)
    assert inspect(link.engine).get_table_names() == [FORMATS.name]
    link.close()


def test_what_somebody_else_is_making_is_tried_again() -> None:
    tries: list[int] = []

    def make() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            raise InputError.one("$.storage", "it exists")
        return "made"

    assert together(make) == "made"


def test_what_does_not_go_away_is_told() -> None:
    def make() -> None:
        raise InputError.one("$.storage", "permission denied")

    with pytest.raises(InputError, match="permission denied"):
        together(make)
