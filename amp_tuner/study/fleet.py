"""One member's part in a study that several machines work on: how it joins, and what it holds.

A member is one output folder. The database says who is at work; a thread renews this member's lease
for as long as its process lives.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, Problem
from amp_tuner.files import write_json
from amp_tuner.measure.same_machine import fleet_differences
from amp_tuner.output import lease
from amp_tuner.output.folder import RunFolder, other_study
from amp_tuner.output.stored import FORMAT, StoredMember, numbered, read_stored
from amp_tuner.search.shared_storage import SharedStorage
from amp_tuner.shared.address import WHERE, Address, address_of, address_of_file
from amp_tuner.shared.ledger import Ledger, SharedStudy
from amp_tuner.shared.link import LONGEST_PAUSE_S, Link
from amp_tuner.shared.members import Membership
from amp_tuner.shared.schema import check_tables, make_tables
from amp_tuner.study.session import Session

#: A lease is renewed at least so often.
_RENEWED_S = 10.0


@dataclass(frozen=True)
class Database:
    """The database of a shared study."""

    address: Address
    link: Link


def open_database(config: StudyConfig) -> Database | None:
    """The database that a study file names; None where the output folder is all there is.

    Raises:
        InputError: it cannot be used, or holds another study of this name.
    """
    database = _reached(config)
    return None if database is None else _made(database, config)


def open_own_database(config: StudyConfig) -> Database | None:
    """The database in the output folder, of a study whose workers are all on this machine.

    None where the study file names a database, or no workers.

    Raises:
        InputError: the folder holds a study without one.
    """
    if config.storage is not None or config.execution is None:
        return None
    folder = RunFolder(config.output)
    if folder.identity.exists() and not folder.database.exists():
        message = f"the study in {folder.root} was begun by one process, and goes on as such"
        raise InputError.one("$.execution", f"{message}; use another output folder, or --fresh")
    return _made(_linked(address_of_file(folder.database), config), config)


def _made(database: Database, config: StudyConfig) -> Database:
    """The database with our tables in it."""
    make_tables(database.link)
    held = Ledger(database.link, config.name, "").found()
    if held is not None:
        _check(held.identity, config.identity(), config.name, database.link)
    return database


def check_database(config: StudyConfig) -> None:
    """Whether the database that a study file names, if any, can be reached; writes nothing.

    Raises:
        InputError: it cannot, or it is of a newer version.
    """
    database = _reached(config)
    if database is not None:
        check_tables(database.link)
        database.link.close()


def _reached(config: StudyConfig) -> Database | None:
    if config.storage is None:
        return None
    return _linked(address_of(config.storage, os.environ), config)


def _linked(address: Address, config: StudyConfig) -> Database:
    return Database(address, Link(address, config.limits.storage_seconds))


class Fleet:
    """What one member holds of a shared study.

    Args:
        database: where it is.
        config: the study.
        member: who this is.

    Attributes:
        link: the database.
        member: this member's name in it.
        ledger: what members tell each other.
        storage: Optuna's trials.
        rank: among the members, 0 for the first.
        instance: of the study, once it is joined.
    """

    def __init__(self, database: Database, config: StudyConfig, member: str) -> None:
        self.link = database.link
        self.member = member
        self.ledger = Ledger(database.link, config.name, member)
        self._lease_s = config.limits.lease_seconds
        self._membership = Membership(database.link, config.name, member, self._lease_s)
        self._renewed_s = min(self._lease_s / 3, _RENEWED_S)
        self._behind = False
        self.storage = SharedStorage(database.address, database.link, member)
        self.rank = 0
        self.instance = ""

    def check_alone(self) -> None:
        """Makes sure that no other process is this member.

        Raises:
            InputError: the output folder is a copy of one that is in use.
        """
        process = self._membership.process()
        other = None if process is None else lease.holder({**process, "expires": float("inf")})
        if other is not None:
            message = f"this output folder is a copy of one that is in use ({other})"
            hint = "use one of its own, or wait until that lease ends (limits.lease_seconds)"
            raise InputError.one("$.output", f"{message}; {hint}")

    @contextlib.contextmanager
    def at_work(self, folder: RunFolder) -> Iterator[None]:
        """While the block runs, what this member holds is its own.

        Args:
            folder: the member's, which is this study's by now.
        """
        about = {"member": self.member, "instance": self.instance}
        write_json(folder.member, {"format": FORMAT, **about})
        self.rank = self._membership.enter(lease.new_lease())
        try:
            with lease.kept(self._renew, self._renewed_s):
                yield
        finally:
            # Where the database is away, the lease ends by itself.
            with contextlib.suppress(SQLAlchemyError):
                self._membership.leave()

    def may_take_over(self) -> bool:
        """Whether a void lease means that its holder is gone.

        After the database was away every lease is void, until everybody has renewed it.
        """
        steady_s = time.monotonic() - self.link.steady_since_s
        return not self._behind and steady_s > self._renewed_s + LONGEST_PAUSE_S

    def _renew(self) -> None:
        # Whoever waits for an answer tells that the database is away; a lease is only tried again.
        try:
            self._membership.renew()
        except SQLAlchemyError:
            self._behind = True
        else:
            if self._behind:
                self.link.steady_since_s = time.monotonic()
            self._behind = False


def join(database: Database, config: StudyConfig, folder: RunFolder, session: Session) -> Fleet:
    """Takes part in the study of the database, which becomes this one if it holds none.

    Raises:
        InputError: it holds another study of this name, or this machine is not like its first.
    """
    facts = {"software": session.software, "hardware": session.hardware_here()}
    known = _member_of(folder)
    fleet = Fleet(database, config, secrets.token_hex(8) if known is None else known.member)
    found = fleet.ledger.found()
    if found is None and fleet.storage.has_study(config.name):
        _refuse_stranger(fleet.ledger, config.name, database.link)
    fleet.check_alone()
    _check_folder(folder, known, "" if found is None else found.instance, database.link)
    held = fleet.ledger.found_or_made(SharedStudy(session.identity(), facts))
    fleet.instance = held.instance
    _check(held.identity, session.identity(), config.name, database.link)
    problems = [
        Problem(f"$.target.fleet.same ({kind})", difference)
        for kind, difference in fleet_differences(config.target.fleet.same, held.facts, facts)
    ]
    if problems:
        hint = "use a machine like it, another name for the study, or fewer target.fleet.same"
        message = f"this machine is not like the first of the study {config.name}: {hint}"
        raise InputError([*problems, Problem("$.target.fleet", message)])
    return fleet


def is_of(folder: RunFolder, database: Database, study: str) -> bool:
    """Whether a folder holds nothing, or a copy of the study that the database holds now."""
    found = Ledger(database.link, study, "").found()
    known = _member_of(folder)
    return known is None or (found is not None and known.instance == found.instance)


def _member_of(folder: RunFolder) -> StoredMember | None:
    return read_stored(folder.member, StoredMember) if folder.member.exists() else None


def _check_folder(folder: RunFolder, known: StoredMember | None, instance: str, link: Link) -> None:
    """Makes sure that what a folder holds has ended in this study and in no other one."""
    holds_trials = any(any(numbered(place)) for place in (folder.trials, folder.untold))
    if holds_trials and (known is None or known.instance != instance):
        message = f"holds trials of another study than that of the {link.shown}"
        raise InputError.one("$.output", f"{folder.root} {message}; name an empty or a new folder")


def _refuse_stranger(ledger: Ledger, name: str, link: Link) -> None:
    # Another member may have put it there just now.
    if ledger.found() is None:
        message = f"the {link.shown} holds an Optuna study {name} that amp-tune did not write"
        raise InputError.one("$.name", f"{message}; give this one another name")


def _check(held: Mapping[str, Any], identity: Mapping[str, Any], name: str, link: Link) -> None:
    problems = other_study(held, identity, f"the study in the {link.shown}")
    if problems:
        message = f"holds another study called {name}: give this one another name"
        raise InputError([*problems, Problem(WHERE, message)])
