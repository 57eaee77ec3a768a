"""A PostgreSQL server of a test's own, in a temporary folder, on a free port of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

#: Where Debian and Ubuntu put the server's programs.
_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
USER, PASSWORD = "tuner", "se/cr:et@word"
_START_S = 30


class Server:
    """A server that runs, until :meth:`stop`.

    Attributes:
        host, port: where it listens.
    """

    def __init__(self, programs: Path, folder: Path, host: str, connections: int) -> None:
        self._programs = programs
        self._data = folder / "data"
        self.host, self.port = host, free_port()
        self._connections = connections
        self._process: subprocess.Popen[bytes] | None = None
        password = folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            # The server refuses to run as root.
            shutil.chown(folder, "nobody")
            shutil.chown(password, "nobody")
        options = ["--username", USER, "--pwfile", password, "--auth", "scram-sha-256"]
        self._run("initdb", "--pgdata", self._data, *options, "--encoding", "UTF8", "--no-sync")
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.0.0.0/8 scram-sha-256\n")
        self.start()

    @property
    def process_id(self) -> int:
        """Of the process that all others of the server are children of."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it (again) and waits until it answers."""
        settings = [f"listen_addresses={self.host}", f"port={self.port}"]
        settings += ["unix_socket_directories=", "fsync=off"]
        settings += [f"max_connections={self._connections}"]
        words = [word for setting in settings for word in ("-c", setting)]
        command = self._command("postgres", "-D", self._data, *words)
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/")
        deadline = time.monotonic() + _START_S
        while not self.answers():
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Ends it as a power cut does."""
        assert self._process is not None
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        self._process.wait()
        # Its children hold the shared memory until they notice.
        time.sleep(0.5)

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGINT)
            self._process.wait()

    def execute(self, statement: str, database: str = "postgres") -> Sequence[tuple[object, ...]]:
        """Runs one statement as the superuser; its rows."""
        with psycopg.connect(
            host=self.host,
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def address(self, database: str, user: str = USER) -> str:
        """Of a database, without a password."""
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def _command(self, program: str, *words: object) -> list[str]:
        command = [str(self._programs / program), *map(str, words)]
        if os.getuid() == 0:
            return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        return command

    def _run(self, program: str, *words: object) -> None:
        command = self._command(program, *words)
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60)


@contextlib.contextmanager
def postgres(host: str = "127.0.0.1", connections: int = 40) -> Iterator[Server]:
    """A server; the test is skipped where there are no programs of one.

    Args:
        host: where it listens.
        connections: it takes so many at a time.
    """
    needed()
    with tempfile.TemporaryDirectory(prefix="amp-tuner-postgres-", dir="/tmp") as name:
        server = Server(_FOLDERS[0], Path(name), host, connections)
        try:
            yield server
        finally:
            server.stop()


def needed() -> None:
    """Skips a test where there are no programs of a server."""
    if not _FOLDERS:
        pytest.skip("no PostgreSQL server programs in /usr/lib/postgresql (apt install postgresql)")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port
