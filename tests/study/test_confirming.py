"""How what is left of the time budget is spent on points whose place on the front is in doubt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from amp_tuner.errors import WorkerFailure
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32_GRAPH, Measurement, Setting, Trial
from amp_tuner.results.event_log import EventLog, read_events
from amp_tuner.study.confirming import PATIENCE, confirm, read_confirmations, read_patience, settle
from amp_tuner.study.phases import Phases
from amp_tuner.study.session import Session
from amp_tuner.target.bench import Bench
from amp_tuner.target.switches import ONEDNN, Switch
from tests.results.examples import ACCURACY, TIMING
from tests.results.examples import trial as example
from tests.study.test_publishing import session

#: ``measure.max_seconds`` and ``limits.trial_seconds`` of the study.
TIMING_S, TRIAL_S = 1.0, 60.0
SETTING = Setting("float16", {}, "default", onednn=True)
FIRST, SECOND = (example(number, setting=SETTING) for number in (7, 8))


@dataclass
class Clockwork:
    """A bench without a device: each measurement takes as long as it may, or fails.

    Attributes:
        left_s: what is left of the budget.
        asked: the patience of each measurement, in order.
        fails: measurements that fail, counted from 1.
    """

    left_s: float
    asked: list[float] = field(default_factory=list)
    fails: tuple[int, ...] = ()
    switch: Switch = ONEDNN
    baseline_state: bool = True

    def measure(self, *_: Any, patience: float, **__: Any) -> Measurement:
        self.asked.append(patience)
        self.left_s -= patience * TIMING_S
        if len(self.asked) in self.fails:
            raise WorkerFailure("SIGSEGV", fatal=True)
        throughput = {"candidate": patience}
        return Measurement(FLOAT32_GRAPH, ACCURACY, replace(TIMING, throughput=throughput))


@dataclass(frozen=True)
class Ending:
    """A study after its search."""

    session: Session
    folder: RunFolder
    bench: Clockwork
    phases: Phases

    def confirm(self, *trials: Trial) -> None:
        confirm(self.session, self.folder, trials, self.phases, lambda: False)

    def settle(self, in_doubt: Callable[[], Sequence[Trial]]) -> None:
        settle(self.session, self.folder, in_doubt, self.phases, lambda: self.bench.left_s)


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Ending]:
    opened, bench = session(tmp_path), Clockwork(left_s=1000.0)
    folder = RunFolder(tmp_path / "run")
    with contextlib.closing(EventLog(folder.events)) as log:
        measured_by = replace(opened, bench=cast("Bench", bench))
        yield Ending(measured_by, folder, bench, Phases(log))


def test_a_confirmation_says_how_long_it_was_timed(ending: Ending) -> None:
    ending.confirm(FIRST, SECOND)
    assert ending.bench.asked == [PATIENCE, PATIENCE]
    assert read_patience(ending.folder) == {7: PATIENCE, 8: PATIENCE}


def test_what_is_measured_again_is_told_with_its_place(ending: Ending) -> None:
    ending.confirm(FIRST, SECOND)
    told = [
        (event["phase"], event["trial"], event["position"], event["of"])
        for event in read_events(ending.folder.events)
    ]
    assert told == [("confirming", 7, 1, 2), ("confirming", 8, 2, 2)]


def test_with_nothing_in_doubt_nothing_is_measured(ending: Ending) -> None:
    ending.settle(list)
    assert ending.bench.asked == []


def test_each_round_times_twice_as_long_and_the_least_known_comes_first(ending: Ending) -> None:
    ending.confirm(FIRST)
    rounds = [[FIRST, SECOND], [FIRST, SECOND], [FIRST, SECOND], []]
    ending.settle(lambda: rounds.pop(0))
    # Trial 8 was never measured again; then both have been for as long.
    assert ending.bench.asked == [2, 2, 4, 4]
    assert read_patience(ending.folder) == {7: 4, 8: 4}
    again = read_confirmations(ending.folder)[7]
    assert isinstance(again, Measurement)
    assert again.timing is not None
    assert again.timing.throughput == {"candidate": 4}


def test_a_timing_that_would_outlast_the_budget_is_not_begun(ending: Ending) -> None:
    ending.bench.left_s = 14.5
    ending.settle(lambda: [FIRST])
    # Eight seconds would fit into what is left, but not with what surrounds them.
    assert ending.bench.asked == [2, 4]
    assert ending.bench.left_s == 8.5


def test_no_timing_is_longer_than_a_trial_may_take(ending: Ending) -> None:
    ending.settle(lambda: [FIRST])
    assert ending.bench.asked == [2, 4, 8, 16]
    assert 2 * ending.bench.asked[-1] * TIMING_S > TRIAL_S / 2


def test_what_was_known_stays_where_measuring_again_fails(ending: Ending) -> None:
    ending.confirm(FIRST)
    known = read_confirmations(ending.folder)
    ending.bench.fails = (2,)
    ending.settle(lambda: [FIRST])
    assert ending.bench.asked == [2, 4]
    assert read_confirmations(ending.folder) == known


def test_the_next_run_goes_on_where_the_budget_ended(ending: Ending) -> None:
    ending.bench.left_s = 4.0
    ending.settle(lambda: [FIRST])
    ending.bench.left_s = 1000.0
    ending.settle(lambda: [FIRST])
    assert ending.bench.asked == [2, 4, 8, 16]
