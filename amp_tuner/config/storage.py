"""Addresses of databases: what may stand in a study file, and in the environment.

No message repeats an address: it may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

#: How an address begins, and what SQLAlchemy calls the driver.
SCHEMES = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
#: Keys of an address's query that are secrets.
SECRETS = ("password", "passwd", "sslpassword")
#: For editors: how a value begins.
ADDRESS = "^(?:postgresql|mysql)://|^env:[A-Za-z_]"
ALLOWED = "null, postgresql://…, mysql://… or env:NAME (an environment variable that holds one)"

_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def variable_of(storage: str) -> str | None:
    """The environment variable that ``env:NAME`` names; None for an address."""
    found = _VARIABLE.fullmatch(storage)
    return None if found is None else found[1]


def file_problem(storage: object) -> str | None:
    """What is wrong with ``storage`` of a study file, without its value; None: nothing."""
    if not isinstance(storage, str):
        return f"allowed: {ALLOWED}"
    if variable_of(storage) is not None:
        return None
    if has_password(storage):
        return (
            "an address with a password is refused, since study files are copied into results; "
            "allowed: env:NAME (an environment variable that holds the address), or an address "
            "without it and the driver's own file (~/.pgpass, PGPASSFILE, a service file)"
        )
    return address_problem(storage)


def address_problem(address: str) -> str | None:
    """What is wrong with an address, without its value; None: nothing."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - it raises where it is no number
        if parts.query:
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return f"not a valid address (special characters are percent-encoded); allowed: {ALLOWED}"
    if parts.scheme not in SCHEMES or not address.startswith(f"{parts.scheme}://"):
        return f"not the address of a database that is supported; allowed: {ALLOWED}"
    if parts.fragment or parts.path.count("/") > 1 or "\0" in address:
        return f"not a valid address (special characters are percent-encoded); allowed: {ALLOWED}"
    if parts.scheme == "mysql" and not (parts.hostname and parts.path.strip("/")):
        return "names no host or no database; allowed: mysql://USER@HOST/DATABASE"
    return None


def has_password(address: str) -> bool:
    """Whether an address holds a password, as far as can be told of one that may be wrong."""
    place = address.partition("://")[2]
    authority, query = re.split(r"[/?#]", place)[0], place.partition("?")[2]
    if authority.rpartition("@")[0].partition(":")[2]:
        return True
    # A password with one of these characters in it, which should have been percent-encoded.
    if ":" in authority and "@" in place[len(authority) :]:
        return True
    return any(key.lower() in SECRETS for key, _ in parse_qsl(query, keep_blank_values=True))
