"""How the throughput of a study grows with its members, of which each would have a machine.

Members run the code of `amp-tune worker` on a real PostgreSQL: they propose, claim graphs, read
what others found, write down what they found. They are threads of one process, and their clock is
simulated (see simulated_time.py): none takes another's CPU. Without a device, and without
TensorFlow, a measurement is a wait, and what it gives: the time that the device's model says, an
accuracy that falls with the nodes that are 16-bit, and block times that are as long as real ones.

    .venv/bin/python -m experiments.growth.members [--members 1 2 4 8 64] [--trials 6]
        [--trial-seconds 30] [--trip-ms 0.5] [--record-kib 80]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from amp_tuner.api import opening
from amp_tuner.api.joining import run_worker
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.records import FLOAT32, Accuracy, Block, Interval, Measurement
from amp_tuner.roofline.device import load_profile
from amp_tuner.study.fleet_tuning import FleetTuning
from amp_tuner.study.planning import Plan, Planner
from amp_tuner.study.session import Session, open_session
from amp_tuner.target.modelled_bench import ModelledBench
from experiments.common import print_machine
from experiments.growth.simulated_time import SimulatedTime
from experiments.growth.study import make_study, search
from experiments.growth.throughput import Member, print_table
from experiments.storage.run import Trips
from tests.postgres import PASSWORD, Server, postgres

#: A 16-bit node takes so much of the accuracy.
_LOST = 1e-4
#: A run's time in a record has so many digits and signs.
_DIGITS, _RUNS = 22, 50
#: Connections of a member: to our tables and to Optuna's, each with one for its lease or none.
_CONNECTIONS = 4
#: As long as a member pauses that has nothing to do.
_PAUSE_S = 1.0


class WaitingBench(ModelledBench):
    """Measures nothing.

    Args:
        real: has measured FP32 and knows the graph.
        wait: is told when a measurement begins; returns when it has ended.
        record_bytes: of block times in a measurement.
        others: as for :class:`ModelledBench`.
    """

    def __init__(
        self, *others: Any, real: ModelledBench, wait: Callable[[], None], record_bytes: int
    ) -> None:
        config = others[0]
        super().__init__(*others, profile=load_profile(config.target.profile))
        self._real = real
        self._wait = wait
        self._known = real.float32()
        runs = (0.123456789012345678,) * _RUNS
        block = Block("candidate", "timed", 0.0, runs)
        self._blocks = (block,) * (record_bytes // (_DIGITS * _RUNS))

    def float32(self) -> dict[bool, Measurement]:
        """As it was measured once for all."""
        return self._known

    def check_held_back(self) -> None:
        """Nothing: there is no target to ask."""

    def modelled_ms(self, plan: Plan | None) -> float:
        """As the one says that has the costs of every node."""
        return self._real.modelled_ms(plan)

    def measure(self, plan: Plan, part: str, **_: Any) -> Measurement:
        """Waits; see the module."""
        del part
        self._wait()
        self._plans = {"candidate": plan}
        nobody: Any = None
        timing = self.timed(nobody, FLOAT32, nobody, "candidate", None)
        lost = _LOST * plan.effective.nodes_16bit
        accuracy = _lower(self._known[self.baseline_state].accuracy, lost)
        return Measurement(plan.effective, accuracy, replace(timing, blocks=self._blocks))


def _lower(accuracy: Accuracy, lost: float) -> Accuracy:
    score = accuracy.score.value - lost
    return replace(accuracy, score=Interval(score, score, score), drop=Interval(lost, lost, lost))


class Members:
    """The members of one study.

    Args:
        config: the study.
        count: how many.
        clock: theirs.
        trial_s, record_bytes: of a trial.
    """

    def __init__(
        self,
        config: StudyConfig,
        count: int,
        clock: SimulatedTime,
        trial_s: float,
        record_bytes: int,
    ) -> None:
        self._config = config
        self._clock = clock
        self._trial_s = trial_s
        self._record_bytes = record_bytes
        self._begins_s: list[list[float]] = [[] for _ in range(count)]
        self._ends_s: list[list[float]] = [[] for _ in range(count)]
        work = config.output / "work"
        work.mkdir(parents=True)
        self._real = open_session(config, work)
        self._graphs = self._real.bench.describe()

    def run(self) -> list[Member]:
        """Runs them until the study's trials are measured."""
        numbers = range(len(self._ends_s))
        self._real.bench.float32()
        with self._replaced(), ThreadPoolExecutor(len(numbers)) as threads:
            # Whatever ended one is told here.
            list(threads.map(self._work, numbers))
        self._real.bench.close()
        return [self._member(number) for number in numbers]

    @contextlib.contextmanager
    def _replaced(self) -> Iterator[None]:
        """What has no place in simulated time: targets, and pauses."""

        def pause(_: FleetTuning) -> None:
            self._clock.spend(_PAUSE_S)

        with (
            mock.patch.object(opening, "open_session", self._session),
            mock.patch.object(FleetTuning, "_wait", pause),
        ):
            yield

    def _work(self, number: int) -> None:
        with self._clock.member(number):
            run_worker(self._config, _Nobody(), output=self._config.output / str(number))

    def _session(self, config: StudyConfig, work: Path) -> Session:
        """As ``open_session``: each member paints for itself."""
        real = self._real
        number = int(config.output.name)
        assert isinstance(real.bench, ModelledBench)
        bench = WaitingBench(
            *(config, None, real.data, real.loaded, work, real.switch),
            real=real.bench,
            wait=lambda: self._measure(number),
            record_bytes=self._record_bytes,
        )
        planner = Planner.of(self._graphs, served=False)
        space = planner.space(config.search.op_types, tuple(config.search.lists))
        return replace(real, config=config, bench=bench, planner=planner, space=space)

    def _measure(self, number: int) -> None:
        self._begins_s[number].append(self._clock.now_s())
        self._ends_s[number].append(self._clock.spend(self._trial_s))

    def _member(self, number: int) -> Member:
        return Member(self._begins_s[number], self._ends_s[number], self._trial_s)


class _Nobody:
    def follow(self, event: Any) -> None:
        """Nothing."""

    def recall(self, ended: Any) -> None:
        """Nothing."""


def members(server: Server, count: int, trips: Trips, options: argparse.Namespace) -> list[Member]:
    """What the members of one study came to, each with about so many trials."""
    server.execute(f"CREATE DATABASE members{count}")
    storage = server.address(f"members{count}")
    with tempfile.TemporaryDirectory() as name:
        study = make_study(Path(name), 0.0, search=search(count * options.trials), storage=storage)
        trip_s = options.trip_ms / 1000
        clock = SimulatedTime(count, trip_s, lambda: trips.count, server.process_id)
        record_bytes = 1024 * options.record_kib
        config = load_study(study)
        return Members(config, count, clock, options.trial_seconds, record_bytes).run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 4, 8, 64])
    parser.add_argument("--trials", type=int, default=6, help="of each member")
    parser.add_argument("--trial-seconds", type=float, default=30.0)
    parser.add_argument("--trip-ms", type=float, default=0.5, help="to the database and back")
    parser.add_argument("--record-kib", type=int, default=80, help="a trial's raw block times")
    options = parser.parse_args()
    print_machine()
    os.environ["PGPASSWORD"] = PASSWORD
    trips = Trips()
    with postgres(connections=20 + _CONNECTIONS * max(options.members)) as server:
        print(f"\nMembers on a simulated clock, trials of {options.trial_seconds:g} s")
        print_table(options.members, lambda count: members(server, count, trips, options))


if __name__ == "__main__":
    main()
