"""Who is at work on a shared study: leases by the database's clock.

A member is one output folder. While its process lives, a lease is renewed; what a member holds is
anybody's once its lease is void.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, select, update

from amp_tuner.shared.link import Link
from amp_tuner.shared.tables import MEMBERS, STUDIES, DatabaseNow

#: When the lease of a member ends that gave it up itself: it is gone for certain.
_LEFT = 0.0


class Membership:
    """One member's lease.

    Args:
        link: the database.
        study: its name.
        member: who it is.
        lease_s: a lease runs so long, unless it is renewed.
    """

    def __init__(self, link: Link, study: str, member: str, lease_s: float) -> None:
        self._link = link
        self._study = study
        self._member = member
        self._lease_s = lease_s
        self._row = and_(MEMBERS.c.study == study, MEMBERS.c.member == member)

    def enter(self, who: Mapping[str, Any]) -> int:
        """Takes part from now on.

        Args:
            who: this process.

        Returns:
            The member's rank: 0 for the first of the study.
        """

        def enter(connection: Connection) -> int:
            values = {"who": json.dumps(who), "expires": DatabaseNow() + self._lease_s}
            if connection.execute(update(MEMBERS).where(self._row).values(values)).rowcount == 0:
                studies = STUDIES.c.study == self._study
                count = update(STUDIES).where(studies).values(members=STUDIES.c.members + 1)
                connection.execute(count)
                members = connection.scalar(select(STUDIES.c.members).where(studies))
                assert members is not None
                new = {"study": self._study, "member": self._member, "rank": members - 1}
                connection.execute(insert(MEMBERS).values({**new, **values}))
            return int(connection.execute(select(MEMBERS.c.rank).where(self._row)).scalar_one())

        return self._link.run(enter)

    def process(self) -> Mapping[str, Any] | None:
        """The process that entered last, if its lease still runs."""

        def read(connection: Connection) -> Mapping[str, Any] | None:
            running = and_(self._row, MEMBERS.c.expires > DatabaseNow())
            text = connection.scalar(select(MEMBERS.c.who).where(running))
            who: Mapping[str, Any] | None = None if text is None else json.loads(text)
            return who

        return self._link.run(read)

    def renew(self) -> None:
        """Renews the lease; tried once.

        Raises:
            SQLAlchemyError: it could not be.
        """
        self._expire_in(self._lease_s)

    def leave(self) -> None:
        """Gives the lease up: what this member holds is anybody's at once. Tried once, too."""
        values = update(MEMBERS).where(self._row).values(expires=_LEFT)
        self._link.once(lambda connection: connection.execute(values))

    def _expire_in(self, seconds: float) -> None:
        values = update(MEMBERS).where(self._row).values(expires=DatabaseNow() + seconds)
        self._link.once(lambda connection: connection.execute(values))


def alive(study: str) -> ColumnElement[bool]:
    """Members of a study whose lease runs."""
    return and_(MEMBERS.c.study == study, MEMBERS.c.expires > DatabaseNow())


def has_left(study: str) -> ColumnElement[bool]:
    """Members of a study that gave their lease up themselves."""
    return and_(MEMBERS.c.study == study, MEMBERS.c.expires == _LEFT)


def is_gone(study: str, holder: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a holder's lease is void."""
    return ~exists(select(MEMBERS.c.member).where(alive(study), MEMBERS.c.member == holder))
