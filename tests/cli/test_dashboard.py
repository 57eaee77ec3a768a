"""``amp-tune dashboard``: the real server, on a study that goes on meanwhile."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.search import dashboard
from amp_tuner.search.journal import OneWriterStorage
from amp_tuner.search.proposal import Objectives
from amp_tuner.search.study import TuningStudy
from tests.cli.conftest import Command
from tests.cli.processes import LIMIT_S
from tests.search.painted_space import PaintedSpace

LEASE: dict[str, Any] = {"host": "here", "pid": 1, "started": 0.0, "expires": 0.0}
#: Speed-up, drop, violation of the goal. The first beats the others, and misses the goal.
TOLD = (
    Objectives(2.0, 0.01, 0.005),
    Objectives(1.5, 0.01, -0.005),
    Objectives(1.2, 0.02, -0.001),
    Objectives(1.0, 0.0, -0.01),
)


class Run:
    """A study that a tuner is writing, and its folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = root / "study.journal"
        self._study = TuningStudy(
            OneWriterStorage(self.journal), "small", PaintedSpace().space, "random", seed=1
        )

    def tell(self, *told: Objectives) -> None:
        for objectives in told:
            self._study.tell(self._study.ask(LEASE).number, objectives, {})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path)
    made.tell(*TOLD)
    return made


@contextlib.contextmanager
def served(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, listening, and where."""
    words = ["dashboard", str(root), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "amp_tuner", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate(timeout=LIMIT_S)[1]
        yield process, address.split("/dashboard")[0]
    finally:
        process.kill()
        process.communicate()


def fetched(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method, data=b"{}" if method != "GET" else None)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_it_shows_a_study_that_goes_on_with_its_goal_and_changes_nothing(run: Run) -> None:
    before = run.journal.read_bytes()
    with served(run.root) as (process, address):
        listed = fetched(f"{address}/api/studies")["study_summaries"]
        assert [(one["study_id"], one["study_name"]) for one in listed] == [(0, "small")]

        study = fetched(f"{address}/api/studies/0")
        assert study["objective_names"] == ["speed-up", "loss of accuracy"]
        assert [trial["values"] for trial in study["trials"]] == [
            [one.speedup, one.drop] for one in TOLD
        ]
        assert [trial["constraints"] for trial in study["trials"]] == [
            [one.violation] for one in TOLD
        ]
        assert [trial["number"] for trial in study["best_trials"]] == [1, 3]

        with pytest.raises(urllib.error.HTTPError, match="403"):
            fetched(f"{address}/api/studies/0", "DELETE")
        assert run.journal.read_bytes() == before

        run.tell(Objectives(1.7, 0.005, -0.005))
        deadline = time.monotonic() + LIMIT_S
        # The dashboard itself asks anew after two seconds at the earliest.
        while len(fetched(f"{address}/api/studies/0?after=4")["trials"]) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        best = fetched(f"{address}/api/studies/0?after=4")["best_trials"]
        assert [trial["number"] for trial in best] == [3, 4]

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LIMIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert sorted(path.name for path in run.root.iterdir()) == ["study.journal"]


def test_a_folder_without_a_study_is_refused(amp_tune: Command, tmp_path: Path) -> None:
    ended = amp_tune("dashboard", tmp_path)
    assert ended.code == 2
    assert ended.err.endswith(f"{tmp_path}: holds no study (no study.journal)\n")


def test_a_journal_of_something_else_is_refused(amp_tune: Command, tmp_path: Path) -> None:
    (tmp_path / "study.journal").write_text("{broken\n")
    ended = amp_tune("dashboard", tmp_path)
    assert ended.code == 2
    assert "study.journal: broken, or not written by amp-tune: JSONDecodeError" in ended.err


def test_an_address_that_cannot_be_had_is_refused(amp_tune: Command, run: Run) -> None:
    with served(run.root) as (_, address):
        port = address.rsplit(":", 1)[1]
        ended = amp_tune("dashboard", run.root, "--port", port)
    assert ended.code == 2
    assert f"--port: cannot listen on 127.0.0.1, port {port}: Address already in use" in ended.err


def test_without_the_extra_it_says_what_to_install(
    amp_tune: Command, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard.importlib.util, "find_spec", lambda _: None)
    ended = amp_tune("dashboard", run.root)
    assert ended.code == 2
    assert "not installed: pip install 'amp-tuner[dashboard]'" in ended.err
