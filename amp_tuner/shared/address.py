"""The database that a study file names: how it is reached, and what a message may say of it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, make_url

from amp_tuner.config.storage import SCHEMES, SECRETS, address_problem, variable_of
from amp_tuner.errors import InputError

WHERE = "$.storage"
#: Backend to the driver's module and the extra that installs it.
_DRIVERS = {"postgresql": ("psycopg", "postgresql"), "mysql": ("pymysql", "mysql")}
#: A connection is given up after so many seconds without an answer.
_SILENCE_S = 15
#: So that a cable that was pulled is noticed; an address may say otherwise.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {
        "connect_timeout": 10,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 1000 * _SILENCE_S,
    },
    "mysql": {
        "connect_timeout": 10,
        "read_timeout": _SILENCE_S,
        "write_timeout": _SILENCE_S,
    },
    "sqlite": {"timeout": 60},
}
_MASK = "***"


@dataclass(frozen=True)
class Address:
    """A database's.

    Attributes:
        url: for SQLAlchemy; may hold a password.
        shown: for messages; holds none.
    """

    url: URL
    shown: str

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def options(self) -> dict[str, Any]:
        """What the driver is told beside the address."""
        defaults = _OPTIONS[self.url.get_backend_name()]
        return {key: value for key, value in defaults.items() if key not in self.url.query}

    def without_secrets(self, text: str) -> str:
        """A driver's message as it may be shown: one line, without a password in any spelling."""
        line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
        for secret in self._secrets():
            for spelling in {secret, quote(secret, safe=""), quote_plus(secret)}:
                line = line.replace(spelling, _MASK)
        return line

    def _secrets(self) -> list[str]:
        query = self.url.query
        values = [query[key] for key in query if key.lower() in SECRETS]
        found = [one for value in values for one in ([value] if isinstance(value, str) else value)]
        password = self.url.password
        return [secret for secret in (password, *found) if secret]


def address_of_file(path: Path) -> Address:
    """That of a database in a file, for processes of one machine."""
    return Address(URL.create("sqlite", database=str(path)), f"database {path}")


def address_of(storage: str, environment: Mapping[str, str]) -> Address:
    """The address that a checked ``storage`` names.

    Args:
        storage: as the study file has it.
        environment: where ``env:NAME`` is looked up.

    Raises:
        InputError: the variable is not set or holds no address, or the driver is not installed.
    """
    variable = variable_of(storage)
    text = storage
    if variable is not None:
        text = environment.get(variable, "").strip()
        if not text:
            message = f"environment variable {variable}, which is to hold the address, is not set"
            raise InputError.one(WHERE, message)
        problem = address_problem(text)
        if problem is not None:
            raise InputError.one(WHERE, f"environment variable {variable}: {problem}")
    backend, _, rest = text.partition("://")
    _check_driver(backend)
    url = make_url(f"{SCHEMES[backend]}://{rest}")
    return Address(url, _shown(url, variable))


def _check_driver(backend: str) -> None:
    module, extra = _DRIVERS[backend]
    try:
        importlib.import_module(module)
    except ImportError as error:
        message = f"{backend} needs {module}, which is not installed: pip install"
        raise InputError.one(WHERE, f"{message} 'amp-tuner[{extra}]'") from error


def _shown(url: URL, variable: str | None) -> str:
    host = url.host or url.query.get("host") or url.query.get("service") or "this machine"
    port = "" if url.port is None else f":{url.port}"
    name = f"{url.get_backend_name()} database {url.database or '(of its own file)'}"
    return f"{name} on {host}{port}" + ("" if variable is None else f" (env:{variable})")
