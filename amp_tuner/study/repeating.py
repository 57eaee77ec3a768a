"""Timing in fresh processes: what is published must hold in a process that nobody has seen yet.

One after the other, processes are started, and each times all the settings that are to be
published. They come to lie minutes apart, so that what the machine does meanwhile is in the figures
too. What is left of the time budget goes, in the same way, to those whose place on the front is in
doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from amp_tuner.errors import WorkerFailure
from amp_tuner.measure.processes import in_another_process, of_processes
from amp_tuner.output.disk import keep_words
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Measurement, Timing, Trial
from amp_tuner.study.confirming import again, patience_of, read_confirmations, write_confirmation
from amp_tuner.study.phases import Phases
from amp_tuner.study.planning import Plan
from amp_tuner.study.session import Session


def time_again(session: Session, plan: Plan, known: Timing, patience: float) -> Timing:
    """What is known of a setting, with its timing in the processes of now as one more.

    Args:
        session: its bench's workers have not timed this setting yet.
        plan: what to run.
        known: what other processes gave.
        patience: timing may take so many times ``measure.max_seconds``.

    Raises:
        WorkerFailure: this setting failed, with its cause.
        OSError: the disk is full.
    """
    bench, measure = session.bench, session.config.measure
    worker, baseline = bench.worker_of(plan), bench.worker(bench.baseline_state)
    key = FLOAT32 if plan.setting.data_type == FLOAT32 else "again"
    with bench.built(worker, {key: plan}):
        fresh = bench.timed(baseline, FLOAT32, worker, key, None, patience=patience)
    return in_another_process(
        known,
        fresh,
        percentiles=measure.percentiles,
        batch_size=bench.batch_size,
        ci_half_width=measure.ci_half_width,
        planned=session.config.processes,
    )


class Repeating:
    """Times confirmed settings in further processes.

    Args:
        session: its bench measures.
        folder: where confirmations are kept.
        phases: told what is being done.
        left_s: seconds that may still be spent.
    """

    def __init__(
        self,
        session: Session,
        folder: RunFolder,
        phases: Phases,
        left_s: Callable[[], float],
    ) -> None:
        self._session = session
        self._folder = folder
        self._phases = phases
        self._left_s = left_s
        self._patience = patience_of(session.config)
        self._given_up: set[int] = set()

    def repeat(self, members: Sequence[Trial]) -> None:
        """Brings members to ``measure.processes`` processes, as far as there is time.

        Args:
            members: confirmed ones; those without a measured speed-up stay as they are.
        """
        wanted = self._session.config.processes
        for count in range(1, wanted):
            few = self._timed_in_at_most(count, members)
            if few and not self._in_one_process("repeating", few, process=count + 1, of=wanted):
                return

    def settle(self, in_doubt: Callable[[], Sequence[Trial]]) -> None:
        """Spends what is left of the time on the points whose place on the front is in doubt.

        It ends when nothing is in doubt, or no time is left. A point that fails keeps what it had.

        Args:
            in_doubt: gives those points, as far as measuring may still help.
        """
        while True:
            open_ = [one for one in in_doubt() if one.number not in self._given_up]
            if not open_ or not self._in_one_process("settling", open_, of=len(open_)):
                return

    def _in_one_process(self, phase: str, trials: Sequence[Trial], **about: int) -> bool:
        """Times each once, in a process of its own for all of them; whether there was time."""
        self._session.bench.close()
        for trial in trials:
            if not self._has_time():
                return False
            self._phases.enter(phase, trial=trial.number, **about)
            self._time(trial)
        return True

    def _has_time(self) -> bool:
        """Whether a worker's start and a timing, with what surrounds it, fit into what is left."""
        longest_s = (1 + self._patience) * self._session.config.measure.max_seconds
        return self._session.bench.start_s + longest_s <= self._left_s()

    def _timed_in_at_most(self, processes: int, members: Sequence[Trial]) -> list[Trial]:
        """Members that were timed, in so many processes at most, and may be timed again."""
        known = read_confirmations(self._folder)
        timings = {
            number: one.timing
            for number, one in known.items()
            if isinstance(one, Measurement) and number not in self._given_up
        }
        return [
            one
            for one in members
            if one.setting.data_type != FLOAT32
            and (timing := timings.get(one.number)) is not None
            and len(of_processes(timing)) <= processes
        ]

    def _time(self, trial: Trial) -> None:
        known = read_confirmations(self._folder).get(trial.number)
        session = self._session
        try:
            if isinstance(known, Measurement) and known.timing is not None:
                plan = session.planner.plan(trial.setting)
                timing = time_again(session, plan, known.timing, self._patience)
                measured = replace(known, timing=timing)
            else:
                measured = again(session, trial, self._patience)
        except WorkerFailure as failure:
            # It has run before: what is known of it stays.
            self._given_up.add(trial.number)
            keep_words(self._folder, f"{trial.number:04d}-again", failure.last_words)
            if not isinstance(known, Measurement):
                return
            told = f"in a further process it failed: {failure.cause}"
            measured = replace(known, notices=(*known.notices, told))
        write_confirmation(self._folder, trial, measured)
