"""``amp-tune run``: the study, from the file to the answer."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from amp_tuner.cli.rows import point_row
from amp_tuner.cli.terminal import Terminal, comparison, make_console
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.ending import end
from amp_tuner.errors import InputError
from amp_tuner.files import private_files
from amp_tuner.folder import RunFolder, check_identity, claim, move_aside, open_folder
from amp_tuner.ladder import Stops
from amp_tuner.measure.noise import noise_sentence
from amp_tuner.publishing import Answer, answer_of, publish
from amp_tuner.records import FLOAT32, Accuracy, Timing
from amp_tuner.results.event_log import EventLog
from amp_tuner.search.samplers import check_sampler
from amp_tuner.session import Session, open_session
from amp_tuner.tuning import Tuning, read_trials

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
    folder, lock = open_folder(config.output)
    console = make_console(quiet=options.quiet)
    try:
        return _run(config, folder, Terminal(console))
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
        "output": None if options.output is None else str(options.output.absolute()),
    }
    return {key: value for key, value in given.items() if value is not None}


def _run(config: StudyConfig, folder: RunFolder, terminal: Terminal) -> int:
    with terminal:
        terminal.phase("starting a worker, loading the model")
        session = open_session(config, folder.work)
        try:
            resumed = claim(folder, session.identity(), config.to_plain(), config.study_file)
            for notice in session.notices:
                terminal.notice(notice)
            with contextlib.closing(EventLog(folder.events)) as log:
                log.write("resumed" if resumed else "started", {"config": config.to_plain()})
                answer = _tune(session, folder, log, terminal)
        finally:
            session.bench.close()
    _show(answer, config, terminal, folder)
    return _GOAL_MISSED if answer.best is None else 0


def _tune(session: Session, folder: RunFolder, log: EventLog, terminal: Terminal) -> Answer:
    tuning = Tuning(session, folder, log, terminal)
    try:
        terminal.phase("measuring FP32")
        ended = tuning.run()
        terminal.notice(ended)
        stops = Stops.of(_accuracies(tuning, len(session.data.search)))
        log.write("ladder", asdict(stops))
        for said in (stops.sentence(), noise_sentence(_timings(tuning))):
            if said is not None:
                terminal.notice(said)
        end(session, folder, log, tuning, terminal.phase)
    finally:
        # Whatever ended it: what is known by now is published.
        answer = answer_of(session, folder, tuning.trials)
        if answer is not None:
            publish(folder, session.config.name, answer)
            log.write("published", {"best": answer.best and answer.best.number})
        tuning.clock.save()
    assert answer is not None
    return answer


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


def _show(answer: Answer, config: StudyConfig, terminal: Terminal, folder: RunFolder) -> None:
    rows = [point_row(name, point) for name, point in answer.table]
    trials = read_trials(folder)
    cached = sum(trial.cached_from is not None for trial in trials)
    failed = sum(trial.cause is not None and trial.cached_from is None for trial in trials)
    counts = (
        f"{len(trials)} proposals: {len(trials) - cached - failed} measured, {cached} told the "
        f"result of an equal graph, {failed} failed. Everything is in {folder.root}"
    )
    terminal.result(comparison(rows, config.accuracy.metric), (answer.conclusion, counts))
