"""``amp-tune run``: the study, from the file to the answer."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amp_tuner.cli.following import Following, follower
from amp_tuner.cli.rows import point_row
from amp_tuner.cli.terminal import comparison
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, TargetError
from amp_tuner.files import private_files, write_text
from amp_tuner.measure.noise import noise_sentence
from amp_tuner.output.clock import Clock
from amp_tuner.output.folder import Lock, RunFolder, check_identity, claim, move_aside, open_folder
from amp_tuner.records import FLOAT32, Accuracy, Timing
from amp_tuner.report.study_folder import read_study
from amp_tuner.report.study_page import study_page
from amp_tuner.results.event_log import EventLog
from amp_tuner.search.samplers import check_sampler
from amp_tuner.study.confirming import read_confirmations
from amp_tuner.study.ending import end
from amp_tuner.study.learnt import write_down
from amp_tuner.study.progress import Progress, ended_facts
from amp_tuner.study.publishing import Answer, answer_facts, answer_of, publish
from amp_tuner.study.session import Session, open_session
from amp_tuner.study.stored_graphs import write_graphs
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.ladder import Stops

_GOAL_MISSED = 1


@private_files()
def run(options: argparse.Namespace) -> int:
    """Runs the verb; what it writes may hold samples, so all of it is the user's alone.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        KeyboardInterrupt: after everything that is known was written.
    """
    config = load_study(options.config, overrides=_overrides(options))
    check_sampler(config.search.sampler)
    if options.fresh:
        move_aside(config.output)
    # What the study file alone tells is told before anything starts or is written.
    check_identity(RunFolder(config.output), config.identity())
    if RunFolder(config.output).bundles.exists():
        message = "is measured by bundles: use amp-tune bundle and ingest, or --fresh to start anew"
        raise InputError.one("$.output", f"the study in {config.output} {message}")
    following = follower(quiet=options.quiet, json_progress=options.json_progress)
    with locked(config.output) as (folder, lock):
        return _run(config, folder, lock, following)


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


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    given = {
        "search.trials": options.trials,
        "search.time_budget": options.time_budget,
        "data.batch_size": options.batch_size,
        "output": None if options.output is None else str(options.output.absolute()),
    }
    return {key: value for key, value in given.items() if value is not None}


def _run(config: StudyConfig, folder: RunFolder, lock: Lock, following: Following) -> int:
    # From here on: the time budget bounds what the user waits for.
    clock = Clock(folder)
    with following.shown():
        loading = following.loading(config.name)
        session = open_session(config, folder.work)
        try:
            resumed = claim(folder, session.identity(), config.to_plain(), config.study_file)
            with (
                contextlib.closing(EventLog(folder.events, following.follow, [loading])) as log,
                contextlib.closing(Tuning(session, folder, log, clock=clock, lock=lock)) as tuning,
            ):
                following.recall(map(ended_facts, tuning.trials.values()))
                log.write("resumed" if resumed else "started", {"config": config.to_plain()})
                for notice in session.notices:
                    log.write("notice", {"text": notice})
                answer = _tune(session, folder, log, tuning)
                counts = counted(tuning.progress())
                write_report(folder, log, tuning)
                code = exit_code(answer)
                log.write("finished", {"exit_code": code, "output": str(folder.root)})
        finally:
            session.bench.close()
    show(answer, config, following, f"{counts}. Everything is in {folder.root}")
    return code


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
    except (KeyboardInterrupt, TargetError) as error:
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


def counted(progress: Progress) -> str:
    """Every proposal by what became of it; what none came to is left out, but failures."""
    named = {
        "measured": progress.measured,
        "told the result of an equal graph": progress.cached,
        "refused by the pass": progress.refused,
        "quarantined": progress.quarantined,
        "failed": progress.failed,
    }
    kept = {name: count for name, count in named.items() if count or name in ("measured", "failed")}
    parts = ", ".join(f"{count} {name}" for name, count in kept.items())
    return f"{sum(named.values())} proposals: {parts}"


def exit_code(answer: Answer) -> int:
    """Of a study that ended: whether anything meets its goal."""
    return _GOAL_MISSED if answer.best is None else 0


def show(answer: Answer, config: StudyConfig, following: Following, counts: str) -> None:
    """Shows what a study says."""
    rows = [point_row(name, point) for name, point in answer.table]
    following.result(comparison(rows, config.accuracy.metric), (answer.conclusion, counts))
