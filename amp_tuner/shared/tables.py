"""Our tables beside Optuna's: which study, who is at work, whole trials, who measures what.

Times are seconds since 1970 by the database's clock, so that machines' own clocks do not matter.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

#: Of these tables; a database of a newer one is refused.
FORMAT = 1

METADATA = MetaData()
_LONG = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
_NAME = String(100)
#: A random identifier, as hexadecimal digits.
_MEMBER = String(32)
#: MySQL's indexes hold 3072 bytes.
_KEY = String(200)

FORMATS = Table("amp_tuner_format", METADATA, Column("format", Integer, primary_key=True))

#: One row a study. ``changes`` grows with every trial that ends, which has it as ``sequence``;
#: whoever adds one holds the row until it is there, so that none is seen late.
STUDIES = Table(
    "amp_tuner_studies",
    METADATA,
    Column("study", _NAME, primary_key=True),
    Column("identity", _LONG, nullable=False),
    Column("facts", _LONG, nullable=False),
    Column("instance", _MEMBER, nullable=False),
    Column("baseline", Integer),
    Column("ended", Text),
    Column("members", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
)

#: Who is at work: a member is one output folder.
MEMBERS = Table(
    "amp_tuner_members",
    METADATA,
    Column("study", _NAME, primary_key=True),
    Column("member", _MEMBER, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("who", Text, nullable=False),
    Column("expires", Double, nullable=False),
)

#: One row a trial: whose it is and, once it ended, its whole record. Of an effective graph that was
#: measured there is one record.
TRIALS = Table(
    "amp_tuner_trials",
    METADATA,
    Column("study", _NAME, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("holder", _MEMBER, nullable=False),
    Column("sequence", Integer),
    Column("graph", _KEY),
    Column("measured", Integer),
    Column("record", _LONG),
    Index("amp_tuner_trials_sequence", "study", "sequence", unique=True),
    Index("amp_tuner_trials_graph", "study", "graph", unique=True),
)

#: What is somebody's doing alone: measuring a graph, putting up an anchor; and who may measure one
#: of the settings that the budget leaves.
CLAIMS = Table(
    "amp_tuner_claims",
    METADATA,
    Column("study", _NAME, primary_key=True),
    Column("key", _KEY, primary_key=True),
    Column("holder", _MEMBER, nullable=False),
)


class DatabaseNow(GenericFunction[float]):
    """The database's own time."""

    type = Double()
    inherit_cache = True


@compiles(DatabaseNow, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(DatabaseNow, "mysql")
@compiles(DatabaseNow, "mariadb")
def _mysql_now(*_: Any, **__: Any) -> str:
    # UNIX_TIMESTAMP goes through local time, which has an hour twice in autumn.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6)"


@compiles(DatabaseNow, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"
