"""Makes our tables in a database, or finds that they are of this version."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, insert, inspect, select

from amp_tuner.errors import InputError
from amp_tuner.shared.address import WHERE
from amp_tuner.shared.link import Link
from amp_tuner.shared.tables import FORMAT, FORMATS, METADATA

Answer = TypeVar("Answer")

#: Two that make the same tables at the same time: one fails, and finds them there a moment later.
_TRIES = 4
_PAUSE_S = 0.5


def make_tables(link: Link) -> None:
    """Makes what is missing; nothing is touched in a database of a newer version.

    Raises:
        InputError: it cannot be reached or written to, or is of a newer version.
    """
    check_tables(link)
    together(lambda: link.open(_make))


def check_tables(link: Link) -> None:
    """Makes sure that tables which are there are of a version that is known.

    Raises:
        InputError: they are of a newer one, or the database cannot be reached.
    """
    link.open(_check_format)


def together(make: Callable[[], Answer]) -> Answer:
    """Makes tables that others may be making at the same time.

    Raises:
        InputError: what stands in the way does not go away.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            return make()
        except InputError:  # noqa: PERF203 - four rounds at most
            if not tries_left:
                raise
            time.sleep(random.uniform(0.2, 1) * _PAUSE_S)  # noqa: S311 - whoever is first
    raise AssertionError


def _check_format(connection: Connection) -> None:
    if not inspect(connection).has_table(FORMATS.name):
        return
    found = connection.scalars(select(FORMATS.c.format)).all()
    newer = [one for one in found if one > FORMAT]
    if newer:
        message = f"the database was set up by a newer amp-tune (its tables have format {newer[0]}"
        raise InputError.one(WHERE, f"{message}, this one writes {FORMAT}); use that version")


def _make(connection: Connection) -> None:
    METADATA.create_all(connection)
    if not connection.scalars(select(FORMATS.c.format)).all():
        connection.execute(insert(FORMATS).values(format=FORMAT))
