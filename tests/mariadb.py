"""A MariaDB server of a test's own, in a temporary folder, on a free port of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import free_port

_START_S = 60


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """The address of a server's database; the test is skipped where there is no such server."""
    pymysql = pytest.importorskip("pymysql")
    programs = [shutil.which(name) for name in ("mariadb-install-db", "mariadbd")]
    if None in programs:
        pytest.skip("no MariaDB server programs on PATH (apt install mariadb-server)")
    install, server = map(str, programs)
    with tempfile.TemporaryDirectory(prefix="amp-tuner-mariadb-", dir="/tmp") as name:
        folder = Path(name)
        user = ["--user=nobody"] if os.getuid() == 0 else []
        if user:
            shutil.chown(folder, "nobody")
        where = ["--no-defaults", f"--datadir={folder / 'data'}", *user]
        made = [install, *where, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True, timeout=120)
        port = free_port()
        settings = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}"]
        process = subprocess.Popen([server, *where, *settings], stderr=subprocess.DEVNULL)
        try:
            _prepare(pymysql, port)
            yield f"mysql://tuner@127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


def _prepare(pymysql: object, port: int) -> None:
    """Waits for the server, and lets the tests' user make databases."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            connection = pymysql.connect(host="127.0.0.1", port=port, user="root")  # type: ignore[attr-defined]
            break
        except pymysql.OperationalError:  # type: ignore[attr-defined]
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.1)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER tuner@'%'")
        cursor.execute("GRANT ALL ON *.* TO tuner@'%'")
