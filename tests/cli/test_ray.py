"""Workers that Ray places: on this machine, and on the machines of a (small) cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from amp_tuner.target.core_claims import claimed
from tests.cli.fleet import Study, make_study, write_study
from tests.cli.processes import LIMIT_S, command, finished, is_gone
from tests.conftest import Files
from tests.postgres import PASSWORD, postgres

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="NOT TESTED: no ray"),
]


class File:
    """A study's database in its output folder, asked as a server is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def execute(self, statement: str, _: str) -> list[Any]:
        """What it says."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def study(tmp_path: Path, small: Files) -> Callable[..., Study]:
    """Makes a study whose workers are all on this machine."""

    def make(workers: int, **changes: Any) -> Study:
        path = write_study(tmp_path, small, None, execution={"workers": workers}, **changes)
        return Study(path, File(tmp_path / "run" / "workers.db"), "")  # type: ignore[arg-type]

    return make


def leader(of: Study) -> Any:
    return command("run", "--config", of.path)


def descendants(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Everything that a command has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(driver.pid).children(recursive=True)
    return []


def working(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """The actors whose worker works."""
    found = []
    for process in descendants(driver):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::PlacedWorker.work"):
                found.append(process)
    return found


def measuring(of: Study) -> set[str]:
    """The folders of members that have begun to measure."""
    return {str(log.parent) for log in of.logs() if '"measuring"' in log.read_text()}


def await_measuring(of: Study, members: int, driver: subprocess.Popen[str]) -> None:
    """Waits until so many members measure."""
    deadline = time.monotonic() + LIMIT_S
    while len(measuring(of)) < members:
        assert time.monotonic() < deadline
        assert driver.poll() is None, driver.communicate()[0]
        time.sleep(0.05)


def assert_strangers_are_refused(processes: list[psutil.Process]) -> None:
    """Ray listens to other machines: who does not know its token is not let in."""
    (head,) = (process for process in processes if process.name() == "gcs_server")
    (port,) = (one.laddr.port for one in head.net_connections() if one.status == "LISTEN")
    knock = f"import ray; ray.init('127.0.0.1:{port}', log_to_driver=False)"
    token = {name: head.environ()[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    for known in (True, False):
        variables = {**os.environ, "RAY_NUM_REDIS_GET_RETRIES": "1", **(token if known else {})}
        command = [sys.executable, "-c", knock]
        done = subprocess.run(command, check=False, capture_output=True, env=variables)
        assert (done.returncode == 0) == known


def folders_of(processes: list[psutil.Process]) -> set[Path]:
    """Where Ray keeps the files of a command, as its processes are told."""
    found: set[Path] = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            words = " ".join(process.cmdline())
            found |= set(map(Path, re.findall(r"/[^=\s]*/amp-ray-[^/\s]+", words)))
    assert found
    return found


def assert_nothing_left(processes: list[psutil.Process], folders: set[Path]) -> None:
    """No process of a command outlives it, and no file of Ray's."""
    assert all(is_gone(process, 10) for process in processes)
    assert not [folder for folder in folders if folder.exists()]


@pytest.mark.all_only
def test_workers_share_a_study_and_leave_nothing_behind(study: Callable[..., Study]) -> None:
    shared = study(2, trials=10, slow_s=1)
    with leader(shared) as driver:
        await_measuring(shared, 2, driver)
        processes = descendants(driver)
        folders = folders_of(processes)
        assert_strangers_are_refused(processes)
        code, said = finished(driver)
    assert code == 0, said
    shared.assert_whole(measured=10)
    shared.assert_measured_once()
    assert_nothing_left(processes, folders)
    assert "Traceback" not in said


@pytest.mark.all_only
def test_an_actor_that_dies_costs_a_trial_and_is_replaced(study: Callable[..., Study]) -> None:
    shared = study(2, trials=14, slow_s=3)
    with leader(shared) as driver:
        await_measuring(shared, 2, driver)
        (doomed,) = working(driver)
        doomed.kill()
        deadline = time.monotonic() + 60
        while not [one for one in working(driver) if one.pid != doomed.pid]:
            assert time.monotonic() < deadline, "it is not replaced"
            time.sleep(0.1)
        code, said = finished(driver)
    assert code == 0, said
    shared.assert_whole(measured=14)


@pytest.mark.nightly
def test_ctrl_c_ends_every_process_and_the_same_command_goes_on(
    study: Callable[..., Study],
) -> None:
    # What is given back is not waited for.
    shared = study(2, trials=14, slow_s=3, limits={"lease_seconds": 3600.0})
    with leader(shared) as driver:
        await_measuring(shared, 2, driver)
        processes = descendants(driver)
        folders = folders_of(processes)
        # As a terminal does: to all of the foreground.
        os.killpg(driver.pid, signal.SIGINT)
        code, said = finished(driver)
    assert code == 130, said
    assert "Traceback" not in said
    assert_nothing_left(processes, folders)
    with leader(shared) as again:
        code, said = finished(again)
    assert code == 0, said
    shared.assert_whole(measured=14)


@pytest.mark.all_only
def test_a_batch_has_each_of_its_studies_measured_by_workers(tmp_path: Path, small: Files) -> None:
    paths = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        about: dict[str, Any] = {"name": name, "execution": {"workers": 2}}
        paths.append(write_study(tmp_path / name, small, None, trials=8, slow_s=1, **about))
    with command("batch", *paths, "--summary", tmp_path / "batch") as driver:
        code, said = finished(driver)
    assert code == 0, said
    told = json.loads((tmp_path / "batch" / "summary.json").read_text())
    assert [one["state"] for one in told["studies"]] == ["ended", "ended"]
    for path in paths:
        measured = Study(path, File(path.parent / "run" / "workers.db"), "")  # type: ignore[arg-type]
        measured.assert_whole(measured=8)
        measured.assert_measured_once()
        holders = "SELECT count(DISTINCT holder) FROM amp_tuner_trials"
        assert measured.rows(holders) == [(2,)]


@pytest.mark.all_only
def test_beside_another_worker_that_is_timed_on_its_cores_none_begins(
    study: Callable[..., Study],
) -> None:
    timed = {"runtime": "engine", "device": "cpu", "data_types": ["bfloat16"], "profile": None}
    shared = study(1, trials=5, target=timed)
    with claimed(None), leader(shared) as driver:
        code, said = finished(driver)
    assert code == 2
    assert f"no cores are pinned, and process {os.getpid()} has workers on this machine" in said
    assert not (shared.run / "study.json").exists()


@pytest.mark.nightly
def test_a_study_of_several_workers_stays_one_and_of_one_worker_too(
    study: Callable[..., Study], small: Files
) -> None:
    shared = study(2, trials=5)
    with leader(shared) as driver:
        code, said = finished(driver)
    assert code in (0, 1), said
    alone = write_study(shared.path.parent, small, None, trials=5)
    with command("run", "--config", alone) as driver:
        code, said = finished(driver)
    assert code == 2
    assert "was measured by several workers, and goes on as such" in said
    shutil.rmtree(shared.run)
    with command("run", "--config", alone) as driver:
        code, said = finished(driver)
    assert code in (0, 1), said
    with leader(study(2, trials=5)) as driver:
        code, said = finished(driver)
    assert code == 2
    assert "$.execution: the study in" in said
    assert "was begun by one process, and goes on as such" in said


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of a head, which leads, and two nodes; each with room for one worker."""
    # Nodes have the driver's password file in production.
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.nightly
def test_a_node_that_is_lost_costs_a_trial(machines: Any, tmp_path: Path, small: Files) -> None:
    nodes = [machines.add_node(num_cpus=1) for _ in range(2)]
    execution = {"workers": 3, "address": machines.address, "resources": {"CPU": 1}}
    with postgres() as server:
        shared = make_study(
            tmp_path, small, server, "cluster", trials=16, slow_s=2, execution=execution
        )
        with leader(shared) as driver:
            await_measuring(shared, 1, driver)
            deadline = time.monotonic() + LIMIT_S
            holders = "SELECT count(DISTINCT holder) FROM amp_tuner_trials"
            while shared.rows(holders) != [(3,)]:
                assert time.monotonic() < deadline
                assert driver.poll() is None, driver.communicate()[0]
                time.sleep(0.2)
            machines.remove_node(nodes[0], allow_graceful=False)
            code, said = finished(driver)
        assert code == 0, said
        shared.assert_whole(measured=16)
    # What was shipped to the nodes is gone, but for that of the lost one.
    assert len(list(Path(tempfile.gettempdir()).glob("amp-tune-*-*/study"))) <= 1
