"""Several machines, one study: who dies, is cut off or comes late loses nothing of it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import databases
from tests.cli.fleet import Study, make_study, write_study
from tests.cli.processes import command, finished
from tests.conftest import Files
from tests.postgres import PASSWORD, Server, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that tests may kill."""
    with postgres() as running:
        yield running


@pytest.fixture
def study(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    small: Files,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Study]:
    """Makes the test's study; the password is where PostgreSQL's own programs look for it."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)

    def make(**changes: Any) -> Study:
        name = f"db_{abs(hash(request.node.name))}"
        return make_study(tmp_path, small, server, name, **changes)

    return make


def leader(of: Study) -> Any:
    return command("run", "--config", of.path)


def worker(of: Study, name: str) -> Any:
    return command("worker", "--config", of.path, "--output", of.worker(name))


@pytest.mark.all_only
def test_workers_and_the_leader_end_by_themselves_and_measure_nothing_twice(
    study: Callable[..., Study],
) -> None:
    shared = study(trials=7)
    alike = ("worker", "--config", shared.path)
    with leader(shared) as first, command(*alike) as second, command(*alike) as third:
        ended = [finished(one) for one in (first, second, third)]
    assert [code for code, _ in ended] == [0, 0, 0], ended
    shared.assert_whole(measured=7)
    shared.assert_measured_once()
    table = pd.read_csv(shared.run / "trials.csv")
    assert sorted(table["number"]) == sorted(shared.records())
    assert (shared.run / "report.html").is_file()
    assert (shared.run / "best.env").is_file()
    workers = sorted(shared.path.parent.glob("run-worker-*"))
    assert [path.name[-2:] for path in workers] == ["-1", "-2"]
    assert not any((path / "pareto").exists() for path in workers)
    for _, said in ended[1:]:
        assert "This worker measured" in said
        assert "and stopped because all 7 trials are measured" in said
    # The same commands find nothing left to do, until the budget is raised.
    before = shared.records()
    for words in (("run", "--config", shared.path), alike):
        with command(*words) as again:
            code, said = finished(again)
            assert code == 0, said
    assert shared.records() == before
    with command("run", "--config", shared.path, "--trials", "8") as more:
        code, said = finished(more)
        assert code == 0, said
    shared.assert_whole(measured=8)


@pytest.mark.all_only
def test_what_a_killed_worker_was_measuring_is_measured_by_another(
    study: Callable[..., Study],
) -> None:
    shared = study(trials=6, slow_s=1)
    with worker(shared, "killed") as doomed:
        shared.await_events("measuring", 2, doomed)
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
        with leader(shared) as first, worker(shared, "a") as second:
            ended = [finished(one) for one in (first, second)]
    assert [code for code, _ in ended] == [0, 0]
    assert [event["repeated"] for event in shared.events("swept")] == [True]
    shared.assert_whole(measured=6)
    shared.assert_measured_once(but=1)


@pytest.mark.all_only
def test_a_worker_that_is_stopped_leaves_its_trial_at_once(study: Callable[..., Study]) -> None:
    shared = study(trials=5, slow_s=1, limits={"lease_seconds": 3600.0})
    with worker(shared, "stopped") as stopped:
        shared.await_events("measuring", 2, stopped)
        stopped.send_signal(signal.SIGINT)
        code, _ = finished(stopped)
        assert code == 130
    with leader(shared) as first:
        code, _ = finished(first)
    assert code == 0
    shared.assert_whole(measured=5)
    # Nothing died of the setting.
    assert not (shared.run / "quarantine.json").exists()


@pytest.mark.nightly
def test_a_worker_that_was_killed_resumes_its_own_trial(study: Callable[..., Study]) -> None:
    shared = study(trials=5, slow_s=1, limits={"lease_seconds": 3600.0})
    with worker(shared, "a") as doomed:
        shared.await_events("measuring", 2, doomed)
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
    with worker(shared, "a") as again:
        code, said = finished(again)
    assert code == 0, said
    with leader(shared) as first:
        code, said = finished(first)
    assert code == 0, said
    shared.assert_whole(measured=5)


@pytest.mark.all_only
def test_a_database_that_dies_and_comes_back_loses_nothing(study: Callable[..., Study]) -> None:
    shared = study(trials=8, slow_s=0.7)
    with leader(shared) as first, worker(shared, "a") as second:
        shared.await_events("measured", 3, first, second)
        shared.server.kill()
        shared.await_events("storage_lost", 2, first, second)
        shared.server.start()
        ended = [finished(one) for one in (first, second)]
    assert [code for code, _ in ended] == [0, 0], ended
    assert all("the database is back after" in said for _, said in ended)
    assert all("is away, and waited for" in said for _, said in ended)
    assert not any(PASSWORD in said for _, said in ended)
    shared.assert_whole(measured=8)
    shared.assert_measured_once()


@pytest.mark.nightly
def test_what_ended_while_the_database_was_gone_is_told_by_the_next_run(
    study: Callable[..., Study],
) -> None:
    shared = study(trials=5, slow_s=1, limits={"storage_seconds": 2.0})
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(leader(shared))
        shared.await_events("measuring", 2, first)
        shared.server.kill()
        stack.callback(lambda: shared.server.answers() or shared.server.start())
        code, said = finished(first)
        assert code == 130
        assert "could not be used for 2 s (limits.storage_seconds)" in said
        assert "the same command goes on" in said
        assert len(list((shared.run / "untold").iterdir())) == 1
        shared.server.start()
        again = stack.enter_context(leader(shared))
        code, said = finished(again)
    assert code == 0, said
    shared.assert_whole(measured=5)
    shared.assert_measured_once()


@pytest.mark.all_only
def test_a_study_may_be_in_mysql(tmp_path: Path, small: Files, mysql_server: str) -> None:
    address = databases.mysql(mysql_server).url.set(drivername="mysql")
    path = write_study(tmp_path, small, str(address), trials=6)
    output = tmp_path / "worker"
    with (
        command("run", "--config", path) as first,
        command("worker", "--config", path, "--output", output) as second,
    ):
        ended = [finished(one) for one in (first, second)]
    assert [code for code, _ in ended] == [0, 0], ended
    graphs = pd.read_csv(tmp_path / "run" / "trials.csv").query("cached_from.isna()")["graph_id"]
    assert len(set(graphs)) == len(graphs) == 6
