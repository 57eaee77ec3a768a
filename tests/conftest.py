"""Live workers and a model that tests share: making one costs seconds of CPU."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from amp_tuner.shared.address import Address
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.launch import launch, launch_xla
from amp_tuner.worker.protocol import Threads
from amp_tuner.worker.xla_client import XlaClient
from tests import databases, small_study
from tests.environments import interpreter
from tests.mariadb import mariadb
from tests.postgres import Server, postgres

GIB = 2**30
Launcher = Callable[..., WorkerClient]

# No test is timed: another program can make any case slow.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# A shell starts background jobs with SIGINT ignored, and what is ignored is inherited by every
# program that a test starts. A handler here gives them the default again.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; every test makes a database of its own."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[str]:
    """The address of a MySQL server, without a database."""
    with mariadb() as address:
        yield address


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.all_only),
        pytest.param("mysql", marks=pytest.mark.all_only),
    ]
)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """A new database, of each kind."""
    if request.param == "postgresql":
        return databases.postgresql(request.getfixturevalue("server"))
    if request.param == "mysql":
        return databases.mysql(request.getfixturevalue("mysql_server"))
    return databases.sqlite(tmp_path)


@dataclass(frozen=True)
class Files:
    """A model and its data."""

    model: Path
    data: Path


def started(
    scratch: Path,
    *,
    python: str | None = None,
    onednn: bool = True,
    threads: Threads = Threads(intra_op=1, inter_op=1),  # noqa: B008 - a frozen value
    cores: tuple[int, ...] | None = None,
) -> WorkerClient:
    """A worker with the limits that tests use."""
    return launch(
        python,
        threads=threads,
        onednn=onednn,
        worker_memory_bytes=int(1.5 * GIB),
        scratch=scratch,
        timeout_s=60,
        cores=cores,
    )


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    """One worker with oneDNN on; a test loads what it needs and must not end it."""
    with started(tmp_path_factory.mktemp("worker")) as client:
        yield client


@pytest.fixture(scope="session")
def plain_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    """The other worker of a study: oneDNN off."""
    with started(tmp_path_factory.mktemp("plain"), onednn=False) as client:
        yield client


@pytest.fixture(scope="session")
def lent(worker: WorkerClient, plain_worker: WorkerClient) -> Callable[[], Any]:
    """A context in which studies and commands of this process are given the session's workers.

    A worker costs five seconds of CPU to start. These live on: they are loaded and used and cannot
    be ended; what they do is all real.
    """

    def launch(python: str | None, *, onednn: bool, timeout_s: float, **_: Any) -> WorkerClient:
        client = worker if onednn else plain_worker
        client.timeout_s = timeout_s
        return client

    @contextlib.contextmanager
    def lend() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for client in (worker, plain_worker):
                patch.setattr(client, "timeout_s", client.timeout_s)
                patch.setattr(client, "close", lambda: None)
            for module in ("target.workers", "target.loaded"):
                patch.setattr(f"amp_tuner.{module}.launch", launch)
            yield

    return lend


@pytest.fixture
def fresh_worker(tmp_path: Path) -> Iterator[Launcher]:
    """Starts workers of a test's own, and ends them."""
    clients: list[WorkerClient] = []

    def start(*, python: str | None = None, onednn: bool = True) -> WorkerClient:
        scratch = tmp_path / f"worker{len(clients)}"
        scratch.mkdir()
        clients.append(started(scratch, python=python, onednn=onednn))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def xla_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XlaClient]:
    """A worker that lowers with a runner that runs, on the CPU; a test must not end it."""
    client = started_xla(tmp_path_factory.mktemp("xla"))
    yield client
    client.close()


def started_xla(scratch: Path, *, python: str | None = None, device: str = "cpu") -> XlaClient:
    """A worker of runtime ``xla`` with the limits that tests use; with JAX's environment."""
    return launch_xla(
        python or str(interpreter("jax")),
        threads=Threads(intra_op=1, inter_op=1),
        tf32=False,
        worker_memory_bytes=int(1.5 * GIB),
        scratch=scratch,
        timeout_s=60,
        device=device,
    )


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The small model with labels."""
    folder = tmp_path_factory.mktemp("small")
    return Files(small_study.make_model(folder), small_study.make_data(folder))
