"""A new database on each kind of server that a shared study may be in."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, make_url

from amp_tuner.shared.address import Address, address_of
from tests.postgres import PASSWORD, Server

#: The password as it stands in an address.
ENCODED = quote(PASSWORD, safe="")


def sqlite(folder: Path) -> Address:
    """What the fast tests run on: what is tested is the same in each."""
    return Address(make_url(f"sqlite:///{folder / 'shared.db'}"), "sqlite database of a test")


def postgresql(server: Server) -> Address:
    """A database of a PostgreSQL server."""
    name = f"x{secrets.token_hex(6)}"
    server.execute(f"CREATE DATABASE {name}")
    address = server.address(name).replace("tuner@", f"tuner:{ENCODED}@")
    return address_of("env:TUNING", {"TUNING": address})


def mysql(server: str) -> Address:
    """A database of a MySQL server."""
    name = f"x{secrets.token_hex(6)}"
    address = address_of(f"{server}{name}", {})
    engine = create_engine(address.url.set(database="mysql"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    engine.dispose()
    return address
