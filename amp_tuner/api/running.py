"""A run of a study, from the checked study file to the answer: all that verbs and API share.

Nothing here prints, exits or handles signals: that is the caller's.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.files import private_files, write_text
from amp_tuner.measure.noise import noise_sentence
from amp_tuner.output.clock import Clock
from amp_tuner.output.folder import Lock, RunFolder, check_identity, claim, move_aside, open_folder
from amp_tuner.records import FLOAT32, Accuracy, Timing
from amp_tuner.report.study_folder import read_study
from amp_tuner.report.study_page import study_page
from amp_tuner.results.event_log import Event, EventLog, nobody
from amp_tuner.search.samplers import check_sampler
from amp_tuner.study.confirming import read_confirmations
from amp_tuner.study.ending import end
from amp_tuner.study.learnt import write_down
from amp_tuner.study.progress import Progress, Watcher
from amp_tuner.study.publishing import Answer, answer_of, publish
from amp_tuner.study.session import Session, open_session
from amp_tuner.study.stored_graphs import write_graphs
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.ladder import Stops


class Screen(Watcher, Protocol):
    """Who shows a run: the terminal."""

    def phase(self, text: str) -> None:
        """What is being done now."""


@dataclass(frozen=True)
class Ended:
    """A run that came to its end.

    Attributes:
        answer: what the study says.
        progress: how far it came.
        folder: where everything is.
    """

    answer: Answer
    progress: Progress
    folder: RunFolder


@private_files()
def run_study(
    config: StudyConfig,
    screen: Screen,
    *,
    follow: Callable[[Event], None] = nobody,
    fresh: bool = False,
) -> Ended:
    """Runs or resumes a study; what it writes may hold samples, so all of it is the user's alone.

    Args:
        config: the checked study file.
        screen: told what to show.
        follow: told each event of the log once it is written.
        fresh: move an old study aside and start anew.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        KeyboardInterrupt: after everything that is known was written; the same call resumes.
    """
    check_sampler(config.search.sampler)
    if fresh:
        move_aside(config.output)
    # What the study file alone tells is told before anything starts or is written.
    check_identity(RunFolder(config.output), config.identity())
    if RunFolder(config.output).bundles.exists():
        message = "is measured by bundles: use amp-tune bundle and ingest, or --fresh to start anew"
        raise InputError.one("$.output", f"the study in {config.output} {message}")
    with locked(config.output) as (folder, lock):
        return _run(config, folder, lock, screen, follow)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[tuple[RunFolder, Lock]]:
    """A study's folder, its lock held.

    Raises:
        InputError: it cannot be had, or the disk is full.
    """
    folder, lock = open_folder(root)
    try:
        yield folder, lock
    except BrokenPipeError:
        raise
    except OSError as error:
        # A full disk, say: everything written before is whole, and the study resumes.
        message = f"cannot write to {folder.root}: {error.strerror or error}"
        raise InputError.one("$.output", message) from error
    finally:
        lock.release()


def _run(
    config: StudyConfig,
    folder: RunFolder,
    lock: Lock,
    screen: Screen,
    follow: Callable[[Event], None],
) -> Ended:
    # From here on: the time budget bounds what the user waits for.
    clock = Clock(folder)
    screen.phase("starting a worker, loading the model")
    session = open_session(config, folder.work)
    try:
        resumed = claim(folder, session.identity(), config.to_plain(), config.study_file)
        for notice in session.notices:
            screen.notice(notice)
        with (
            contextlib.closing(EventLog(folder.events, follow)) as log,
            contextlib.closing(
                Tuning(session, folder, log, screen, clock=clock, lock=lock)
            ) as tuning,
        ):
            log.write("resumed" if resumed else "started", {"config": config.to_plain()})
            answer = _tune(session, folder, log, tuning, screen)
            progress = tuning.progress()
            write_report(folder, tuning, screen)
    finally:
        session.bench.close()
    return Ended(answer, progress, folder)


def _tune(
    session: Session, folder: RunFolder, log: EventLog, tuning: Tuning, screen: Screen
) -> Answer:
    try:
        write_graphs(folder, session.planner.graphs())
        screen.phase("measuring FP32")
        ended = tuning.run()
        screen.notice(ended)
        stops = Stops.of(_accuracies(tuning, len(session.data.search)))
        log.write("ladder", asdict(stops))
        for said in (stops.sentence(), noise_sentence(_timings(tuning))):
            if said is not None:
                screen.notice(said)
        end(session, folder, log, tuning, screen.phase)
        for said in write_down(session.space, folder, log, tuning):
            screen.notice(said)
    finally:
        # Whatever ended it: what is known by now is published, if the folder is still this run's.
        answer = published(session, folder, log, tuning)
    assert answer is not None
    tell_unconfirmed(folder, log, screen)
    return answer


def published(session: Session, folder: RunFolder, log: EventLog, tuning: Tuning) -> Answer | None:
    """Publishes what is known by now; None before anything was timed."""
    tuning.lock.check()
    answer = answer_of(session, folder, tuning.trials)
    if answer is not None:
        publish(folder, session.config.name, answer)
        log.write("published", {"best": answer.best and answer.best.number})
    tuning.clock.save()
    return answer


def tell_unconfirmed(folder: RunFolder, log: EventLog, screen: Screen) -> None:
    """Tells which settings failed when they were measured again."""
    for number, outcome in read_confirmations(folder).items():
        if isinstance(outcome, str):
            log.write("not_confirmed", {"trial": number, "cause": outcome})
            screen.notice(f"trial {number} failed when it was measured again: {outcome}")


def write_report(folder: RunFolder, tuning: Tuning, screen: Screen) -> None:
    """Writes the study's page, unless the disk limit leaves no room for it."""
    screen.phase("writing the report")
    text = study_page(read_study(folder.root))
    tuning.lock.check()
    if tuning.disk.fits(len(text.encode("utf-8"))):
        write_text(folder.report, text)
    else:
        how = f"amp-tune report {shlex.quote(str(folder.root))} --output FILE"
        screen.notice(f"report.html has no room within limits.disk; `{how}` writes it elsewhere")


def _accuracies(tuning: Tuning, samples: int) -> Iterator[tuple[Accuracy, int]]:
    """Every measured accuracy, with the number of all samples."""
    for trial in tuning.trials.values():
        if trial.measurement is not None and trial.cached_from is None:
            yield trial.measurement.accuracy, samples


def _timings(tuning: Tuning) -> Iterator[Timing]:
    """Every timing of the search but FP32 against itself."""
    for trial in tuning.trials.values():
        measured = None if trial.cached_from is not None else trial.measurement
        timing = None if measured is None else measured.timing
        if timing is not None and trial.setting.data_type != FLOAT32:
            yield timing
