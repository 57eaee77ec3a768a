"""A batch on a fleet: workers go with it from study to study."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.config.load import load_study
from amp_tuner.results.event_log import read_events
from tests.batch.test_led import Leader
from tests.cli.conftest import Command
from tests.cli.fleet import write_study
from tests.cli.processes import command, finished
from tests.conftest import Files
from tests.postgres import PASSWORD, Server

Put = Callable[..., Path]


@pytest.fixture
def empty(tmp_path: Path) -> Files:
    """A model and data that nobody comes to read."""
    files = Files(tmp_path / "model.pb", tmp_path / "data.npz")
    files.model.touch()
    files.data.touch()
    return files


@pytest.fixture
def put(empty: Files, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Writes the file of a study NAME, in a folder of its own, of the test's database."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    database = f"batch_{os.urandom(4).hex()}"
    server.execute(f"CREATE DATABASE {database}")

    def write(name: str, /, **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        about: dict[str, Any] = {"trials": 5, "name": name, **changes}
        return write_study(folder, empty, server.address(database), **about)

    return write


def test_several_studies_are_refused_with_all_that_is_wrong(
    amp_tune: Command, put: Put, tmp_path: Path
) -> None:
    first, twin = put("first"), put("twin", name="first")
    files = ("--config", first, twin)
    ended = amp_tune("worker", *files)
    assert ended.code == 2
    same = f"{twin}: $.name: first is the study of {first} in the same database, too"
    assert same in ended.err
    batch = amp_tune("batch", first, twin, "--fresh", "--summary", tmp_path / "batch")
    assert batch.code == 2
    assert f"{first}: --fresh: starts nothing anew that is in a database" in batch.err
    assert f"{twin}: --fresh: starts nothing anew that is in a database" in batch.err
    output = amp_tune("worker", *files, "--output", tmp_path / "worker")
    assert (output.code, "--output: is one folder" in output.err) == (2, True)
    wait = amp_tune("worker", "--config", first, "--wait", "1h")
    assert (wait.code, "--wait: is for several studies" in wait.err) == (2, True)
    assert not list(tmp_path.glob("*/run*"))


def test_a_batch_whose_database_is_not_there_does_not_start(
    amp_tune: Command, empty: Files, tmp_path: Path
) -> None:
    path = write_study(tmp_path, empty, "postgresql://tuner@127.0.0.1:1/tuning", trials=5)
    ended = amp_tune("batch", path, "--summary", tmp_path / "batch")
    assert ended.code == 2
    assert f"{path}: $.storage: cannot use the postgresql database tuning" in ended.err
    assert not (tmp_path / "batch").exists()


def test_a_worker_whose_studies_nobody_leads_says_so(amp_tune: Command, put: Put) -> None:
    ended = amp_tune("worker", "--config", put("first"), put("second"), "--wait", "1s")
    assert ended.code == 130
    assert ended.err == "for 1.0 s nobody has led any of first, second\n"


def test_a_study_that_fails_on_a_worker_does_not_stop_the_rest(amp_tune: Command, put: Put) -> None:
    paths = [put(name, target={"python": "/usr/bin/false"}) for name in ("first", "second")]
    for path in paths:
        Leader(load_study(path))
    ended = amp_tune("worker", "--config", *paths)
    assert ended.code == 3
    why = "failed: the worker under /usr/bin/false does not start (exit status 1)"
    assert ended.err == f"first {why}\nsecond {why}\n"
    assert ended.out.split() == ["Study", "first", "Study", "second"]


@pytest.mark.all_only
def test_a_worker_goes_with_a_batch_from_study_to_study(
    put: Put, small: Files, tmp_path: Path
) -> None:
    about = {"model": {"path": str(small.model)}, "data": {"path": str(small.data)}}
    # So many trials, and so slow, that the worker is there before the last one.
    slow = {"trials": 14, "slow_s": 1.0, **about}
    studies = put("first", **slow), put("second", **{**slow, "trials": 8})
    with (
        command("worker", "--config", *reversed(studies)) as worker,
        command("batch", *studies, "--summary", tmp_path / "batch") as batch,
    ):
        ended = [finished(one) for one in (batch, worker)]
    assert [code for code, _ in ended] == [0, 0], ended
    told = json.loads((tmp_path / "batch" / "summary.json").read_text())
    assert [one["state"] for one in told["studies"]] == ["ended", "ended"]
    worked = {name: tmp_path.glob(f"{name}/run-worker-*/log.jsonl") for name in ("first", "second")}
    events = {name: [one["event"] for one in read_events(log)] for name, (log,) in worked.items()}
    assert "measured" in events["first"]
    assert [names[-1] for names in events.values()] == ["finished", "finished"]
