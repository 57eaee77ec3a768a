"""A worker's network, a database's disk, clocks: what goes wrong between machines, for real."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_tuner.config.model import LimitsConfig
from tests.cli.fleet import Study, make_study
from tests.cli.processes import command, finished, spawned
from tests.conftest import Files
from tests.postgres import PASSWORD, Server, postgres

as_root = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("ip") is None,
    reason="needs root, and ip of iproute2: a network namespace, a file system of its own",
)
SPACE, HERE, THERE = f"amp-tuner-{os.getpid()}", "10.213.7.1", "10.213.7.2"


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


class Cable:
    """The network of a namespace, which may be cut."""

    def __init__(self) -> None:
        self.near, far = f"amp{os.getpid() % 10**6}", f"far{os.getpid() % 10**6}"
        _ip("netns", "add", SPACE)
        _ip("link", "add", self.near, "type", "veth", "peer", "name", far, "netns", SPACE)
        _ip("address", "add", f"{HERE}/24", "dev", self.near)
        _ip("link", "set", self.near, "up")
        for words in (("address", "add", f"{THERE}/24", "dev", far), ("link", "set", far, "up")):
            _ip("-netns", SPACE, *words)
        _ip("-netns", SPACE, "link", "set", "lo", "up")

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """While the block runs, nothing comes through."""
        _ip("link", "set", self.near, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.near, "up")


@pytest.fixture
def cable() -> Iterator[Cable]:
    try:
        yield Cable()
    finally:
        subprocess.run(["ip", "netns", "delete", SPACE], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@as_root
@pytest.mark.all_only
@pytest.mark.parametrize(
    ("lease_s", "cut_s"), [(3.0, 8), (LimitsConfig().lease_seconds, 60)], ids=["lease", "minute"]
)
def test_a_worker_that_is_cut_off_and_comes_back(
    tmp_path: Path, small: Files, cable: Cable, lease_s: float, cut_s: float
) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres(HERE))
        limits = {"lease_seconds": lease_s, "storage_seconds": 120.0}
        shared = make_study(tmp_path, small, server, "cut", trials=8, slow_s=1.5, limits=limits)
        away = [sys.executable, "-m", "amp_tuner", "worker", "--config", str(shared.path)]
        away += ["--output", str(shared.worker("away"))]
        second = stack.enter_context(spawned(["ip", "netns", "exec", SPACE, *away]))
        shared.await_events("measuring", 2, second)
        first = stack.enter_context(command("run", "--config", shared.path))
        shared.await_events("started", 2, first, second)
        shared.await_events("measured", 2, first, second)
        with cable.cut():
            time.sleep(cut_s)
        ended = [finished(one) for one in (first, second)]
        assert [code for code, _ in ended] == [0, 0], ended
        shared.assert_whole(measured=8)
    if lease_s > cut_s:
        assert not list(shared.events("swept"))
        shared.assert_measured_once()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 24 MiB."""
    folder = Path("/tmp") / f"amp-tuner-disk-{os.getpid()}"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True)
    if done.returncode:
        folder.rmdir()
        pytest.skip("no file system can be mounted here")
    (folder / "space").mkdir()
    shutil.chown(folder / "space", "nobody")
    try:
        yield folder / "space"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@as_root
@pytest.mark.nightly
def test_a_database_whose_disk_is_full_keeps_the_study_waiting(
    tmp_path: Path, small: Files, small_disk: Path
) -> None:
    with postgres() as server:
        server.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        server.execute("CREATE DATABASE fullness TABLESPACE small")
        server.execute("DROP DATABASE fullness")
        shared = make_study(
            tmp_path, small, server, "fullness TABLESPACE small", trials=14, slow_s=0.5
        )
        shared = Study(_addressed(shared, server), server, "fullness")
        with command("run", "--config", shared.path) as leader:
            shared.await_events("measured", 1, leader)
            _fill(shared)
            shared.await_events("storage_lost", 1, leader)
            (lost, *_) = shared.events("storage_lost")
            assert "No space left on device" in lost["why"]
            shared.rows("DROP TABLE ballast")
            code, said = finished(leader)
        assert code == 0, said
        assert "No space left on device" in said
        shared.assert_whole(measured=14)


def _addressed(shared: Study, server: Server) -> Path:
    text = shared.path.read_text()
    shared.path.write_text(text.replace(shared.database, "fullness"))
    return shared.path


def _fill(shared: Study) -> None:
    """Leaves no page for anybody."""
    shared.rows("CREATE TABLE ballast (content text)")
    row = "INSERT INTO ballast SELECT repeat(md5(random()::text), 200) FROM generate_series(1, {})"
    for rows in (1000, 100, 10, 1):
        with contextlib.suppress(Exception):
            while True:
                shared.rows(row.format(rows))


@pytest.mark.all_only
def test_clocks_an_hour_apart_are_nothing_to_a_lease(
    tmp_path: Path, small: Files, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = make_study(tmp_path, small, server, "clocks", trials=6, slow_s=1)
    ahead = tmp_path / "an_hour_ahead"
    ahead.mkdir()
    shifted = "import time\nreal = time.time\ntime.time = lambda: real() + 3600\n"
    (ahead / "sitecustomize.py").write_text(shifted)
    with command("run", "--config", shared.path) as first:
        monkeypatch.setenv("PYTHONPATH", str(ahead))
        with command(
            "worker", "--config", shared.path, "--output", shared.worker("ahead")
        ) as second:
            ended = [finished(one) for one in (first, second)]
    assert [code for code, _ in ended] == [0, 0], ended
    assert not list(shared.events("swept"))
    shared.assert_whole(measured=6)
    shared.assert_measured_once()
