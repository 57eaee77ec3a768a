"""What the members of a shared study tell each other: one study's rows of our tables.

Each operation is one transaction and may be done twice: a transaction's answer may be lost with the
connection that was to bring it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from amp_tuner.shared.link import Link, inserted
from amp_tuner.shared.members import alive, has_left, is_gone
from amp_tuner.shared.tables import CLAIMS, MEMBERS, STUDIES, TRIALS

#: So many records are read at once; each may be a few MiB.
_AT_ONCE = 20
#: How the claim of somebody who may measure one more setting begins.
PERMIT = "permit "
#: The claim of whoever says when the search is over.
LEAD = "lead"


@dataclass(frozen=True)
class SharedStudy:
    """Which study it is.

    Attributes:
        identity: what must not differ.
        facts: of the first member's machine: ``software`` and ``hardware``.
        instance: tells it from a study of the same identity in another database.
    """

    identity: Mapping[str, Any]
    facts: Mapping[str, Any]
    instance: str = ""


@dataclass(frozen=True)
class Look:
    """The study as the database has it now.

    Attributes:
        alive: members whose lease runs.
        left: members that have gone by themselves.
        unfinished: who holds each trial without a record.
        claims: who holds what.
        news: numbers of trials that ended since the last look, in the order in which they did.
        reached: for the next look.
        ended: why the search is over; None: it is not.
    """

    alive: frozenset[str]
    left: frozenset[str]
    unfinished: Mapping[int, str]
    claims: Mapping[str, str]
    news: tuple[int, ...]
    reached: int
    ended: str | None

    @property
    def has_leader(self) -> bool:
        """Whether somebody is at work who says when the search is over."""
        return self.claims.get(LEAD) in self.alive


class Ledger:
    """One member's hand on a study's rows.

    Args:
        link: the database.
        study: its name.
        member: who writes.
    """

    def __init__(self, link: Link, study: str, member: str) -> None:
        self._link = link
        self._study = study
        self.member = member

    def found(self) -> SharedStudy | None:
        """The study that the database holds under this name; None: none."""

        def read(connection: Connection) -> SharedStudy | None:
            columns = STUDIES.c.identity, STUDIES.c.facts, STUDIES.c.instance
            row = connection.execute(select(*columns).where(self._of(STUDIES))).first()
            if row is None:
                return None
            return SharedStudy(json.loads(row.identity), json.loads(row.facts), row.instance)

        return self._link.run(read)

    def found_or_made(self, mine: SharedStudy) -> SharedStudy:
        """The study that the database holds; this one, if it held none."""
        self._link.run(
            lambda connection: inserted(
                connection,
                STUDIES,
                study=self._study,
                identity=json.dumps(mine.identity),
                facts=json.dumps(mine.facts),
                instance=secrets.token_hex(8),
                members=0,
                changes=0,
            )
        )
        found = self.found()
        assert found is not None
        return found

    def agree(self, state: bool | None) -> bool | None:
        """The baseline's state of the switch that all members use: the first that was told.

        Args:
            state: this member's; None: it has none yet.
        """

        def settle(connection: Connection) -> bool | None:
            if state is not None:
                unset = and_(self._of(STUDIES), STUDIES.c.baseline.is_(None))
                connection.execute(update(STUDIES).where(unset).values(baseline=int(state)))
            held = connection.scalar(select(STUDIES.c.baseline).where(self._of(STUDIES)))
            return None if held is None else bool(held)

        return self._link.run(settle)

    def end(self, why: str | None) -> None:
        """Tells all members that the search is over; None: it goes on.

        Nobody gets a permit after it.
        """
        values = update(STUDIES).where(self._of(STUDIES)).values(ended=why)
        self._link.run(lambda connection: connection.execute(values))

    def look(self, reached: int) -> Look:
        """The study as it is now.

        Args:
            reached: the last look's; 0 at first.
        """

        def read(connection: Connection) -> Look:
            lives, left = (
                select(MEMBERS.c.member).where(which(self._study)) for which in (alive, has_left)
            )
            unfinished = select(TRIALS.c.number, TRIALS.c.holder).where(
                self._of(TRIALS), TRIALS.c.sequence.is_(None)
            )
            claims = select(CLAIMS.c.key, CLAIMS.c.holder).where(self._of(CLAIMS))
            news = (
                select(TRIALS.c.number, TRIALS.c.sequence)
                .where(self._of(TRIALS), TRIALS.c.sequence > reached)
                .order_by(TRIALS.c.sequence)
            )
            ended = select(STUDIES.c.ended).where(self._of(STUDIES))
            rows = connection.execute(news).all()
            return Look(
                frozenset(connection.scalars(lives)),
                frozenset(connection.scalars(left)),
                {row.number: row.holder for row in connection.execute(unfinished)},
                {row.key: row.holder for row in connection.execute(claims)},
                tuple(row.number for row in rows),
                rows[-1].sequence if rows else reached,
                connection.scalar(ended),
            )

        return self._link.run(read)

    def records(self, numbers: Sequence[int]) -> dict[int, str]:
        """Records of trials that ended, as JSON."""
        found: dict[int, str] = {}
        for start in range(0, len(numbers), _AT_ONCE):
            wanted = TRIALS.c.number.in_(numbers[start : start + _AT_ONCE])
            rows = select(TRIALS.c.number, TRIALS.c.record).where(self._of(TRIALS), wanted)
            found |= self._link.run(lambda connection: dict(connection.execute(rows).all()))  # noqa: B023
        return found

    def hold(self, number: int) -> None:
        """Writes down that a new trial is this member's."""
        row = {"study": self._study, "number": number, "holder": self.member}
        self._link.run(lambda connection: inserted(connection, TRIALS, **row))

    def adopt(self, number: int, holder: str) -> bool:
        """Takes over a trial whose holder is gone.

        Returns:
            Whether it is this member's now; not if somebody else was faster.
        """

        def adopt(connection: Connection) -> bool:
            row = {"study": self._study, "number": number, "holder": self.member}
            lives = select(MEMBERS.c.member).where(alive(self._study), MEMBERS.c.member == holder)
            free = holder == self.member or connection.scalar(lives) is None
            if free and inserted(connection, TRIALS, **row):
                return True
            of_holder = and_(
                self._of(TRIALS),
                TRIALS.c.number == number,
                TRIALS.c.sequence.is_(None),
                or_(TRIALS.c.holder == self.member, TRIALS.c.holder == holder),
                or_(TRIALS.c.holder == self.member, is_gone(self._study, TRIALS.c.holder)),
            )
            taken = update(TRIALS).where(of_holder).values(holder=self.member)
            return connection.execute(taken).rowcount == 1

        return self._link.run(adopt)

    def claim(self, key: str, *, may_take_over: bool = True) -> bool:
        """Claims what only one member may do: in one transaction, for as long as it is at work.

        Args:
            key: what; of a graph, that which its record will have.
            may_take_over: also from a member whose lease is void though it did not go by itself.

        Returns:
            Whether it is this member's; not if somebody holds it, or has done it.
        """

        def claim(connection: Connection) -> bool:
            row = {"study": self._study, "key": key, "holder": self.member}
            if not inserted(connection, CLAIMS, **row):
                gone = select(MEMBERS.c.member).where(has_left(self._study))
                free = or_(CLAIMS.c.holder == self.member, CLAIMS.c.holder.in_(gone))
                if may_take_over:
                    free = or_(free, is_gone(self._study, CLAIMS.c.holder))
                taken = update(CLAIMS).where(self._of(CLAIMS), CLAIMS.c.key == key, free)
                if connection.execute(taken.values(holder=self.member)).rowcount != 1:
                    return False
            # Whoever has just written the record has given its claim up in the same transaction.
            done = select(TRIALS.c.number).where(self._of(TRIALS), TRIALS.c.graph == key)
            if connection.scalar(done) is None:
                return True
            connection.execute(delete(CLAIMS).where(self._of(CLAIMS), CLAIMS.c.key == key))
            return False

        return self._link.run(claim)

    def permit(self, limit: int, *, heed_end: bool = True) -> bool:
        """Asks to measure one more setting, until :meth:`record` has one of this member.

        Args:
            limit: settings that may be measured in all.
            heed_end: whether the search is over once its end was told.

        Returns:
            Whether it may: not if what was measured, and what others may measure, comes to that,
            and not once the search is over.
        """

        def may(connection: Connection) -> bool:
            ended = select(STUDIES.c.ended).where(self._of(STUDIES))
            if heed_end and connection.scalar(ended) is not None:
                return False
            measured = select(func.sum(TRIALS.c.measured)).where(self._of(TRIALS))
            others = select(func.count()).where(
                self._of(CLAIMS),
                CLAIMS.c.key.startswith(PERMIT),
                CLAIMS.c.holder != self.member,
                ~is_gone(self._study, CLAIMS.c.holder),
            )
            used = (connection.scalar(measured) or 0) + (connection.scalar(others) or 0)
            return used < limit

        def permit(connection: Connection) -> bool:
            # Whoever waits asks every second: they need not wait for each other.
            if may(connection):
                self._lock(connection)
            if not may(connection):
                connection.execute(delete(CLAIMS).where(self._permit()))
                return False
            row = {"study": self._study, "key": PERMIT + self.member, "holder": self.member}
            inserted(connection, CLAIMS, **row)
            return True

        return self._link.run(permit)

    def record(
        self, number: int, record: str, graph: str | None, *, measured: bool
    ) -> tuple[str, int | None]:
        """Adds what came of a trial, if nothing has come of it or of its graph before.

        Args:
            number: the trial's.
            record: as JSON.
            graph: of a trial that ran by itself: what runs, which only one record may have.
            measured: whether it counts as one of the settings that may be measured.

        Returns:
            The trial's record in the database, which is another member's where that was first; and
            the trial that has the graph already, where there is one: then nothing was added.
        """

        def add(connection: Connection) -> tuple[str, int | None]:
            self._lock(connection)
            same = TRIALS.c.number == number
            if graph is not None:
                same = or_(same, TRIALS.c.graph == graph)
            rows = select(TRIALS.c.number, TRIALS.c.record).where(self._of(TRIALS), same)
            known = connection.execute(rows).all()
            for other in known:
                if other.number == number and other.record is not None:
                    return other.record, None
            for other in known:
                if other.number != number:
                    return record, other.number
            count = select(STUDIES.c.changes).where(self._of(STUDIES)).scalar_subquery()
            values = {
                "record": record,
                "graph": graph,
                "measured": int(measured),
                "sequence": count,
                "holder": self.member,
            }
            of_trial = update(TRIALS).where(self._of(TRIALS), TRIALS.c.number == number)
            if connection.execute(of_trial.values(values)).rowcount == 0:
                new = {"study": self._study, "number": number, **values}
                connection.execute(insert(TRIALS).values(new))
            if graph is not None:
                held = or_(self._permit(), and_(self._of(CLAIMS), CLAIMS.c.key == graph))
                connection.execute(delete(CLAIMS).where(held))
            return record, None

        return self._link.run(add)

    def _lock(self, connection: Connection) -> None:
        """From here on, whoever else comes here waits for the end of this transaction."""
        row = update(STUDIES).where(self._of(STUDIES))
        connection.execute(row.values(changes=STUDIES.c.changes + 1))

    def _permit(self) -> ColumnElement[bool]:
        return and_(self._of(CLAIMS), CLAIMS.c.key == PERMIT + self.member)

    def _of(self, table: Table) -> ColumnElement[bool]:
        return table.c.study == self._study
