"""What is published is timed in several processes, and longest where a place is in doubt."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from amp_tuner.errors import WorkerFailure
from amp_tuner.measure.processes import of_processes
from amp_tuner.measure.timing import TimingRules, time_pair
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH, Measurement, Setting, Timing, Trial
from amp_tuner.results.event_log import EventLog, read_events
from amp_tuner.study.confirming import confirm, read_confirmations
from amp_tuner.study.phases import Phases
from amp_tuner.study.repeating import Repeating
from amp_tuner.study.session import Session
from amp_tuner.target.bench import Bench
from amp_tuner.target.switches import ONEDNN, Switch
from tests.measure.machines import Machine
from tests.results.examples import ACCURACY
from tests.results.examples import trial as example
from tests.study.test_publishing import session

#: ``measure.max_seconds`` and ``measure.processes`` of the study.
TIMING_S, PROCESSES = 10.0, 4
SETTING = Setting("float16", {}, "default", onednn=True)
FIRST, SECOND = (example(number, setting=SETTING) for number in (7, 8))


@dataclass
class Processes:
    """A bench whose processes differ: each is a little faster than the one before.

    Attributes:
        left_s: what is left of the budget; a timing takes as long as it may.
        process: the number of the one that runs, from 1; 0 before the first.
        ran: the process of each timing, in order.
        fails: timings that fail, counted from 1.
    """

    left_s: float = 1000.0
    process: int = 0
    alive: bool = False
    ran: list[int] = field(default_factory=list)
    fails: tuple[int, ...] = ()
    start_s: float = 3.0
    batch_size: int = 64
    switch: Switch = ONEDNN
    baseline_state: bool = True

    def close(self) -> None:
        self.alive = False

    def worker(self, state: bool) -> str:
        if not self.alive:
            self.alive = True
            self.process += 1
            self.left_s -= self.start_s
        return "worker"

    def worker_of(self, plan: object) -> str:
        return self.worker(True)

    def measure(self, *_: Any, patience: float, **__: Any) -> Measurement:
        self.worker(True)
        return Measurement(FLOAT32_GRAPH, ACCURACY, self.timed(patience=patience))

    @contextlib.contextmanager
    def built(self, worker: str, plans: dict[str, Any]) -> Iterator[None]:
        yield

    def timed(self, *_: Any, patience: float) -> Timing:
        self.left_s -= patience * TIMING_S
        self.ran.append(self.process)
        if len(self.ran) in self.fails:
            raise WorkerFailure("SIGSEGV", fatal=True)
        machine = Machine(speedup=1.1 + 0.01 * self.process)
        sides = (machine.side("baseline"), machine.side("candidate"))
        rules = TimingRules(max_seconds=0.1)
        return time_pair(*sides, rules, batch_size=64, clock=machine.clock)


@dataclass(frozen=True)
class Ending:
    """A study after its search."""

    session: Session
    folder: RunFolder
    bench: Processes
    phases: Phases

    def confirm(self, *trials: Trial) -> None:
        confirm(self.session, self.folder, trials, self.phases, lambda: False)

    def repeating(self) -> Repeating:
        return Repeating(self.session, self.folder, self.phases, lambda: self.bench.left_s)

    def timing(self, trial: Trial) -> Timing:
        known = read_confirmations(self.folder)[trial.number]
        assert isinstance(known, Measurement)
        assert known.timing is not None
        return known.timing

    def processes(self, trial: Trial) -> int:
        return len(of_processes(self.timing(trial)))


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Ending]:
    opened = session(tmp_path, measure={"processes": PROCESSES, "max_seconds": TIMING_S})
    bench, folder = Processes(), RunFolder(tmp_path / "run")
    with contextlib.closing(EventLog(folder.events)) as log:
        measured_by = replace(opened, bench=cast("Bench", bench))
        yield Ending(measured_by, folder, bench, Phases(log))


def test_members_are_timed_side_by_side_in_each_process(ending: Ending) -> None:
    ending.confirm(FIRST, SECOND)
    ending.repeating().repeat([FIRST, SECOND])
    assert ending.bench.ran == [1, 1, 2, 2, 3, 3, 4, 4]
    assert ending.processes(FIRST) == ending.processes(SECOND) == PROCESSES
    found = ending.timing(FIRST).speedup
    assert found.value == pytest.approx(1.125, abs=1e-3)
    assert found.low < 1.11
    assert found.high > 1.14


def test_each_process_is_told(ending: Ending) -> None:
    ending.confirm(FIRST)
    ending.repeating().repeat([FIRST])
    told = [
        (event["trial"], event["process"], event["of"])
        for event in read_events(ending.folder.events)
        if event.get("phase") == "repeating"
    ]
    assert told == [(7, 2, 4), (7, 3, 4), (7, 4, 4)]


def test_a_late_member_catches_up_alone(ending: Ending) -> None:
    ending.confirm(FIRST)
    ending.repeating().repeat([FIRST])
    ending.confirm(SECOND)
    ending.repeating().repeat([FIRST, SECOND])
    assert ending.processes(FIRST) == ending.processes(SECOND) == PROCESSES
    assert ending.bench.ran == [1, 2, 3, 4, 4, 5, 6, 7]


def test_float32_is_not_repeated(ending: Ending) -> None:
    float32 = example(9, setting=Setting(FLOAT32, {}, "default", onednn=False))
    ending.confirm(float32)
    before = list(ending.bench.ran)
    ending.repeating().repeat([float32])
    assert ending.bench.ran == before


def test_what_no_clock_measures_is_not_repeated(ending: Ending) -> None:
    config = ending.session.config
    target = config.target.model_copy(update={"profile": Path("a-device.yaml")})
    modelled = replace(
        ending, session=replace(ending.session, config=config.model_copy(update={"target": target}))
    )
    modelled.confirm(FIRST)
    before = list(ending.bench.ran)
    modelled.repeating().repeat([FIRST])
    assert ending.bench.ran == before


def test_time_that_runs_out_leaves_what_is_known_and_the_next_run_goes_on(ending: Ending) -> None:
    ending.confirm(FIRST)
    # A timing takes 5 s, a start 3 s, and what surrounds a timing up to 10 s.
    ending.bench.left_s = 20.0
    ending.repeating().repeat([FIRST])
    assert ending.processes(FIRST) == 2
    assert ending.bench.left_s > 0
    ending.bench.left_s = 1000.0
    ending.repeating().repeat([FIRST])
    assert ending.processes(FIRST) == PROCESSES


def test_a_failure_in_a_further_process_is_told_beside_what_is_known(ending: Ending) -> None:
    ending.confirm(FIRST, SECOND)
    ending.bench.fails = (3,)
    ending.repeating().repeat([FIRST, SECOND])
    assert (ending.processes(FIRST), ending.processes(SECOND)) == (1, PROCESSES)
    known = read_confirmations(ending.folder)[FIRST.number]
    assert isinstance(known, Measurement)
    assert known.notices[-1] == "in a further process it failed: SIGSEGV"


def test_with_nothing_in_doubt_nothing_is_timed(ending: Ending) -> None:
    ending.repeating().settle(list)
    assert ending.bench.ran == []


def test_what_is_in_doubt_is_timed_in_ever_more_processes(ending: Ending) -> None:
    ending.confirm(FIRST)
    rounds = itertools.chain([[FIRST, SECOND]] * 3, itertools.repeat([]))
    ending.repeating().settle(lambda: next(rounds))
    # The second was never measured again; its first process is one of these.
    assert ending.bench.ran == [1, 2, 2, 3, 3, 4, 4]
    assert (ending.processes(FIRST), ending.processes(SECOND)) == (4, 3)


def test_settling_ends_when_no_timing_fits_into_what_is_left(ending: Ending) -> None:
    ending.confirm(FIRST)
    ending.bench.left_s = 100.0
    ending.repeating().settle(lambda: [FIRST])
    assert 0 < ending.bench.left_s < 3 + 1.5 * TIMING_S


def test_what_fails_while_it_is_settled_keeps_what_it_had(ending: Ending) -> None:
    ending.confirm(FIRST)
    ending.bench.fails = (2,)
    ending.repeating().settle(lambda: [FIRST])
    assert ending.bench.ran == [1, 2]
    assert ending.processes(FIRST) == 1
