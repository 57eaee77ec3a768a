"""A run of a study, from the checked study file to the answer: all that verbs and API share.

Nothing here prints, exits or handles signals: that is the caller's.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from amp_tuner.api.follower import Follower
from amp_tuner.api.opening import opened
from amp_tuner.cluster.placing import Cluster, connected
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, StorageLost, TargetError
from amp_tuner.files import private_files, write_text
from amp_tuner.measure.noise import noise_sentence
from amp_tuner.output.folder import Lock, RunFolder, check_identity, move_aside, open_folder
from amp_tuner.records import FLOAT32, Accuracy, Timing
from amp_tuner.report.study_folder import read_study
from amp_tuner.report.study_page import study_page
from amp_tuner.results.event_log import EventLog
from amp_tuner.search.samplers import check_sampler
from amp_tuner.study.confirming import read_confirmations
from amp_tuner.study.ending import end
from amp_tuner.study.fleet import Database, open_database, open_own_database
from amp_tuner.study.learnt import write_down
from amp_tuner.study.progress import Progress
from amp_tuner.study.publishing import Answer, answer_facts, answer_of, publish
from amp_tuner.study.session import Session
from amp_tuner.study.stored_graphs import write_graphs
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.ladder import Stops

#: Exit code of a study in which nothing certainly meets the goal.
_GOAL_MISSED = 1


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

    @property
    def exit_code(self) -> int:
        """Whether anything meets the goal."""
        return _GOAL_MISSED if self.answer.best is None else 0


@private_files()
def run_study(config: StudyConfig, follower: Follower, *, fresh: bool = False) -> Ended:
    """Runs or resumes a study; what it writes may hold samples, so all of it is the user's alone.

    Args:
        config: the checked study file.
        follower: told each event of the log once it is written.
        fresh: move an old study aside and start anew.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        StorageLost: the database of a shared study was gone for too long; the same call resumes.
        KeyboardInterrupt: after everything that is known was written; the same call resumes.
    """
    check_sampler(config.search.sampler)
    if fresh:
        check_fresh(config)
        move_aside(config.output)
    check_folder(config)
    with connected(config) as cluster:
        database = open_database(config)
        with locked(config.output) as (folder, lock):
            database = database or open_own_database(config)
            return _run(config, folder, lock, follower, database, cluster)


def check_fresh(config: StudyConfig) -> None:
    """Makes sure that a study can be started anew.

    Raises:
        InputError: it is in a database.
    """
    if config.storage is not None:
        message = "starts nothing anew that is in a database; give the study another name"
        raise InputError.one("--fresh", message)


def check_folder(config: StudyConfig) -> None:
    """What the study file alone tells of its output folder, before anything starts or is written.

    Raises:
        InputError: the folder holds another study, or one that is measured elsewhere.
    """
    folder = RunFolder(config.output)
    check_identity(folder, config.identity())
    if config.storage is None and config.execution is None and folder.member.exists():
        message = "was measured by several workers, and goes on as such: with storage, or execution"
        raise InputError.one("$.output", f"the study in {folder.root} {message}")
    if folder.bundles.exists():
        message = "is measured by bundles: use amp-tune bundle and ingest, or --fresh to start anew"
        raise InputError.one("$.output", f"the study in {config.output} {message}")


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
    follower: Follower,
    database: Database | None,
    cluster: Cluster | None,
) -> Ended:
    with contextlib.ExitStack() as stack:
        parts = stack.enter_context(opened(config, folder, lock, follower, database))
        if cluster is not None:
            stack.enter_context(cluster.workers(parts.log.write))
        log, tuning = parts.log, parts.tuning
        ended = Ended(_tune(parts.session, folder, log, tuning), tuning.progress(), folder)
        write_report(folder, log, tuning)
        log.write("finished", {"exit_code": ended.exit_code, "output": str(folder.root)})
    return ended


def _tune(session: Session, folder: RunFolder, log: EventLog, tuning: Tuning) -> Answer:
    try:
        write_graphs(folder, session.planner.graphs())
        tuning.phases.enter("fp32")
        tuning.run()
        stops = Stops.of(_accuracies(tuning, len(session.data.search)))
        log.write("ladder", asdict(stops))
        for said in (stops.sentence(), noise_sentence(_timings(tuning))):
            if said is not None:
                log.write("notice", {"text": said})
        end(session, folder, log, tuning)
        for said in write_down(session.space, folder, log, tuning):
            log.write("notice", {"text": said})
    except (KeyboardInterrupt, StorageLost, TargetError) as error:
        log.write("stopped", {"why": str(error) or "interrupted"})
        raise
    finally:
        # Whatever ended it: what is known by now is published, if the folder is still this run's.
        answer = published(session, folder, log, tuning)
    assert answer is not None
    tell_unconfirmed(folder, log)
    return answer


def published(session: Session, folder: RunFolder, log: EventLog, tuning: Tuning) -> Answer | None:
    """Publishes what is known by now; None before anything was timed."""
    tuning.lock.check()
    tuning.clock.save()
    answer = answer_of(session, folder, tuning.trials)
    if answer is not None:
        publish(folder, session.config.name, answer)
        log.write("published", answer_facts(answer))
    return answer


def tell_unconfirmed(folder: RunFolder, log: EventLog) -> None:
    """Tells which settings failed when they were measured again."""
    for number, outcome in read_confirmations(folder).items():
        if isinstance(outcome, str):
            log.write("not_confirmed", {"trial": number, "cause": outcome})


def write_report(folder: RunFolder, log: EventLog, tuning: Tuning) -> None:
    """Writes the study's page, unless the disk limit leaves no room for it."""
    tuning.phases.enter("report")
    text = study_page(read_study(folder.root))
    tuning.lock.check()
    if tuning.disk.fits(len(text.encode("utf-8"))):
        write_text(folder.report, text)
    else:
        how = f"amp-tune report {shlex.quote(str(folder.root))} --output FILE"
        text = f"report.html has no room within limits.disk; `{how}` writes it elsewhere"
        log.write("notice", {"text": text})


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
