"""The front, measured again, and what is kept of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from amp_tuner.errors import WorkerFailure
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32_GRAPH, Measurement, Setting, Trial
from amp_tuner.results.event_log import EventLog, read_events
from amp_tuner.study.confirming import PATIENCE, confirm, read_confirmations
from amp_tuner.study.phases import Phases
from amp_tuner.study.session import Session
from amp_tuner.target.bench import Bench
from amp_tuner.target.switches import ONEDNN, Switch
from tests.results.examples import ACCURACY, TIMING
from tests.results.examples import trial as example
from tests.study.test_publishing import session

SETTING = Setting("float16", {}, "default", onednn=True)
FIRST, SECOND = (example(number, setting=SETTING) for number in (7, 8))


@dataclass
class Clockwork:
    """A bench without a device.

    Attributes:
        asked: the patience of each measurement, in order.
        fails: measurements that fail, counted from 1.
    """

    asked: list[float] = field(default_factory=list)
    fails: tuple[int, ...] = ()
    switch: Switch = ONEDNN
    baseline_state: bool = True

    def measure(self, *_: Any, patience: float, **__: Any) -> Measurement:
        self.asked.append(patience)
        if len(self.asked) in self.fails:
            raise WorkerFailure("SIGSEGV", fatal=True)
        return Measurement(FLOAT32_GRAPH, ACCURACY, TIMING)


@dataclass(frozen=True)
class Ending:
    """A study after its search."""

    session: Session
    folder: RunFolder
    bench: Clockwork
    phases: Phases

    def confirm(self, *trials: Trial) -> None:
        confirm(self.session, self.folder, trials, self.phases, lambda: False)


@contextlib.contextmanager
def ended(folder: Path, **changes: Any) -> Iterator[Ending]:
    opened, bench = session(folder, **changes), Clockwork()
    run = RunFolder(folder / "run")
    with contextlib.closing(EventLog(run.events)) as log:
        yield Ending(replace(opened, bench=cast("Bench", bench)), run, bench, Phases(log))


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Ending]:
    with ended(tmp_path) as one:
        yield one


@pytest.mark.parametrize("processes", [1, 4])
def test_its_time_is_spread_over_the_processes(tmp_path: Path, processes: int) -> None:
    with ended(tmp_path, measure={"processes": processes}) as ending:
        ending.confirm(FIRST, SECOND)
        assert ending.bench.asked == [PATIENCE / processes] * 2


def test_what_was_measured_again_is_not_measured_once_more(ending: Ending) -> None:
    ending.confirm(FIRST)
    ending.confirm(FIRST, SECOND)
    assert len(ending.bench.asked) == 2
    assert read_confirmations(ending.folder).keys() == {7, 8}


def test_a_failure_is_believed_the_second_time(ending: Ending) -> None:
    ending.bench.fails = (1,)
    ending.confirm(FIRST)
    assert isinstance(read_confirmations(ending.folder)[7], Measurement)
    ending.bench.fails = (3, 4)
    ending.confirm(SECOND)
    assert read_confirmations(ending.folder)[8] == "SIGSEGV"


def test_what_is_measured_again_is_told_with_its_place(ending: Ending) -> None:
    ending.confirm(FIRST, SECOND)
    told = [
        (event["phase"], event["trial"], event["position"], event["of"])
        for event in read_events(ending.folder.events)
    ]
    assert told == [("confirming", 7, 1, 2), ("confirming", 8, 2, 2)]
