"""The connection to a database that may be away for a while: one transaction, tried until it holds.

An operation that is tried again may have been done the first time, with only its answer lost: what
is passed in here must come to the same when it is done twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from amp_tuner.errors import InputError, StorageLost
from amp_tuner.shared.address import WHERE, Address

Answer = TypeVar("Answer")
Tell = Callable[[str, Mapping[str, Any]], None]

#: Seconds between the second and the third try, and at most between two.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 3.0
#: What a driver raises for a server that is gone, full, starting or stopping.
_COMES_BACK = ("OperationalError", "InterfaceError", "InternalError")
#: Connections of one process: its own, and that of the thread which renews its lease.
_CONNECTIONS = 2
_LOGIN_HINT = (
    "; a password comes from the driver's own file (~/.pgpass, PGPASSFILE, a service file) or with "
    "the address in storage: env:NAME"
)


def tell_nobody(_: str, __: Mapping[str, Any]) -> None:
    """Tells nobody."""


class Link:
    """One database.

    Args:
        address: the database's.
        patience_s: for so long it is waited for.

    Attributes:
        engine: SQLAlchemy's.
        tell: told of ``storage_lost`` and ``storage_back``, with their facts.
        steady_since_s: time (monotonic) since which every operation came through.
    """

    def __init__(self, address: Address, patience_s: float) -> None:
        self._address = address
        self._patience_s = patience_s
        self.tell: Tell = tell_nobody
        self.engine = create_engine(address.url, **engine_options(address))
        serialise(self.engine)
        self.steady_since_s = time.monotonic()

    @property
    def shown(self) -> str:
        """The database in words, without credentials."""
        return self._address.shown

    def open(self, what: Callable[[Connection], Answer]) -> Answer:
        """The first transaction of all: what is wrong now is wrong with the input.

        Raises:
            InputError: the database cannot be reached or used, without credentials.
        """
        try:
            return self.once(what)
        except SQLAlchemyError as error:
            raise self.refusal(error) from None

    def once(self, what: Callable[[Connection], Answer]) -> Answer:
        """One transaction, tried once.

        Raises:
            SQLAlchemyError: it was not done.
        """
        with self.engine.begin() as connection:
            return what(connection)

    def run(self, what: Callable[[Connection], Answer]) -> Answer:
        """One transaction, tried until it comes through.

        Raises:
            StorageLost: it did not within the patience.
            InputError: the database refuses it.
        """
        return self.patiently(lambda: self.once(what))

    def patiently(self, what: Callable[[], Answer]) -> Answer:
        """The same for whatever uses the database.

        Raises:
            StorageLost, InputError: as above.
        """
        began_s = time.monotonic()
        pause_s, lost = 0.0, False
        while True:
            try:
                answer = what()
            except Exception as error:
                cause = _database_error(error)
                if cause is None:
                    raise
                if not _comes_back(cause):
                    raise self.refusal(cause) from None
                why = self._reason(cause)
            else:
                if lost:
                    self.steady_since_s = time.monotonic()
                    self.tell("storage_back", {"seconds": round(time.monotonic() - began_s, 1)})
                return answer
            # Two that wait for each other's locks are told apart by trying again at once.
            if not lost and pause_s:
                lost = True
                self.tell("storage_lost", {"storage": self.shown, "why": why})
            if time.monotonic() - began_s > self._patience_s:
                raise self._lost(why)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def hurry(self, patience_s: float) -> None:
        """From now on the database is waited for at most so long."""
        self._patience_s = min(self._patience_s, patience_s)

    def refusal(self, error: BaseException) -> InputError:
        """What a database that cannot be used comes to: one message."""
        why = self._reason(error)
        hint = _LOGIN_HINT if "password" in why.lower() else ""
        return InputError.one(WHERE, f"cannot use the {self.shown}: {why}{hint}")

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()

    def _lost(self, why: str) -> StorageLost:
        waited = f"the {self.shown} could not be used for {self._patience_s:g} s"
        return StorageLost(
            f"{waited} (limits.storage_seconds): {why}; what ended is kept in the output folder, "
            "and the same command goes on"
        )

    def _reason(self, error: BaseException) -> str:
        cause = _database_error(error) or error
        original = cause.orig if isinstance(cause, DBAPIError) else cause
        return self._address.without_secrets(str(original))


def engine_options(address: Address) -> dict[str, Any]:
    """What SQLAlchemy is told of a database, here and for Optuna."""
    options: dict[str, Any] = {
        "pool_pre_ping": True,
        # A statement's parameters in a message would be what somebody measured.
        "hide_parameters": True,
        "connect_args": address.options(),
    }
    if address.url.get_backend_name() != "sqlite":
        options |= {
            "pool_size": _CONNECTIONS,
            "max_overflow": 0,
            # A transaction sees what others committed meanwhile; MySQL's default does not.
            "isolation_level": "READ COMMITTED",
        }
    return options


def serialise(engine: Engine) -> None:
    """Makes SQLite's transactions whole; its driver of itself reads outside of them.

    They follow each other, so that none fails for another (SQLAlchemy: pysqlite's locking).
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    # Connections of before know nothing of it.
    engine.dispose()


def _database_error(error: BaseException | None) -> SQLAlchemyError | None:
    """The database's part in an error; None where it has none."""
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__
    return error


def _comes_back(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or type(error).__name__ in _COMES_BACK


def inserted(connection: Connection, table: Table, **row: Any) -> bool:
    """Adds a row; False where there is one with its key."""
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(row))
    except IntegrityError:
        return False
    return True
