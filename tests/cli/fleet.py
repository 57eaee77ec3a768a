"""A fleet on this machine: one database, and commands that share a study in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.results.event_log import read_events
from tests import small_study
from tests.cli.processes import LIMIT_S
from tests.conftest import Files
from tests.postgres import Server

PROFILE = Path(__file__).parents[2] / "configs" / "devices" / "nvidia-t4.yaml"
#: A metric that takes its time, so that something can happen in a trial.
_SLOW = """
import time


def score(outputs, labels, reference):
    # Once a setting: its interval comes from calls without some of the samples.
    time.sleep({seconds} if len(outputs) >= 300 else 0)
    return float(((outputs[:, 0] > 0.5) == (labels > 0)).mean())
"""
#: Seconds: of a lease, and for which a database is waited for.
LEASE_S, PATIENCE_S = 3.0, 60.0


@dataclass(frozen=True)
class Study:
    """A study of a fleet.

    Attributes:
        path: its file; the folders of its members lie beside it.
        server, database: where it is.
    """

    path: Path
    server: Server
    database: str

    @property
    def run(self) -> Path:
        """The folder of ``amp-tune run``."""
        return self.path.parent / "run"

    def worker(self, name: str) -> Path:
        """A folder for a worker."""
        return self.path.parent / name

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        return [tuple(row) for row in self.server.execute(statement, self.database)]

    def records(self) -> dict[int, Any]:
        """Every trial in the database."""
        ended = "SELECT number, record FROM amp_tuner_trials WHERE sequence IS NOT NULL"
        return {number: json.loads(record) for number, record in self.rows(ended)}

    def events(self, name: str) -> Iterator[dict[str, Any]]:
        """The events of one name, of all members."""
        for log in self.logs():
            yield from (event for event in read_events(log) if event["event"] == name)

    def logs(self) -> list[Path]:
        """The members' logs; what vanishes beside them while they work is passed over."""
        walked = os.walk(self.path.parent)
        return [Path(folder, "log.jsonl") for folder, _, files in walked if "log.jsonl" in files]

    def await_events(self, name: str, count: int, *members: subprocess.Popen[str]) -> None:
        """Waits until members, of which none may end before, have so many events of a name."""
        deadline = time.monotonic() + LIMIT_S
        while sum(1 for _ in self.events(name)) < count:
            assert time.monotonic() < deadline, f"no {count} {name} in {LIMIT_S} s"
            for member in members:
                assert member.poll() is None, member.communicate()[0]
            time.sleep(0.02)

    def assert_whole(self, *, measured: int) -> None:
        """The study ended: all is in the database and in the leader's folder, and nothing twice."""
        records = self.records()
        assert self.rows("SELECT DISTINCT state FROM trials") == [("COMPLETE",)]
        assert sorted(records) == list(range(len(records)))
        own = [one["trial"] for one in records.values() if one["trial"]["cached_from"] is None]
        graphs = Counter(trial["effective"]["graph_id"] for trial in own)
        assert len(graphs) == len(own) == measured
        for folder in self.path.parent.rglob("trials"):
            mirrored = {int(path.stem): json.loads(path.read_text()) for path in folder.iterdir()}
            assert mirrored == {number: records[number] for number in mirrored}
            if folder.parent == self.run:
                assert len(mirrored) == len(records)
        assert not list(self.path.parent.glob("*/untold/*"))

    def assert_measured_once(self, *, but: int = 0) -> None:
        """No graph was measured to its end by two members, nor begun, but for so many."""
        begun = Counter(event["graph_id"] for event in self.events("measuring"))
        assert sum(begun.values()) - len(begun) == but
        ended = Counter(event["trial"] for event in self.events("measured"))
        assert not ended or max(ended.values()) == 1


def make_study(
    folder: Path,
    small: Files,
    server: Server,
    database: str,
    *,
    trials: int,
    slow_s: float = 0.0,
    **changes: Any,
) -> Study:
    """Writes the file of a study in a new database.

    Args:
        folder: where to.
        small: its model and data.
        server: which database.
        database: the database's name.
        trials: the study's.
        slow_s: a trial takes at least so long.
        changes: of the study file.
    """
    server.execute(f"CREATE DATABASE {database}")
    path = write_study(folder, small, server.address(database), trials, slow_s, **changes)
    return Study(path, server, database)


def write_study(
    folder: Path,
    small: Files,
    storage: str | None,
    trials: int,
    slow_s: float = 0.0,
    **changes: Any,
) -> Path:
    """The same, in any database that is there."""
    shutil.copy(PROFILE, folder / "t4.yaml")
    target = {"runtime": "roofline", "device": "gpu", "data_types": ["float16"]}
    plain = small_study.study(
        small.model,
        small.data,
        search={"trials": trials},
        target={**target, "profile": "t4.yaml"},
        limits={"lease_seconds": LEASE_S, "storage_seconds": PATIENCE_S},
        storage=storage,
    )
    if slow_s:
        (folder / "slow.py").write_text(_SLOW.format(seconds=slow_s))
        accuracy = {"metric": "slow:score", "direction": "maximize", "goal": "50%"}
        plain["accuracy"] = accuracy
    return small_study.write_study(folder, small_study.changed(plain, **changes))
