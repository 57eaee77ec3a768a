"""``amp-tune ingest``: takes in what a device elsewhere has measured."""

from __future__ import annotations

import argparse
import contextlib

from amp_tuner.api.opening import tell_loading
from amp_tuner.api.running import (
    Ended,
    locked,
    published,
    tell_unconfirmed,
    write_report,
)
from amp_tuner.bundle.manifest import SEARCH, float32_name
from amp_tuner.bundle.recorded import RecordedBench
from amp_tuner.bundle.results import Results
from amp_tuner.bundle.rounds import Rounds, StoredRound
from amp_tuner.bundle.unconfirmed import take_in, to_publish
from amp_tuner.cli.following import Following, follower
from amp_tuner.cli.run import show
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.files import private_files
from amp_tuner.output.clock import Clock
from amp_tuner.output.folder import Lock, RunFolder, check_identity, claim
from amp_tuner.results.event_log import EventLog
from amp_tuner.study.minimising import Minimising
from amp_tuner.study.publishing import Answer
from amp_tuner.study.session import Session, open_session
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.workers import lowering_starter


@private_files()
def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the results file or the study.
        TargetError: TensorFlow cannot be started here.
        KeyboardInterrupt: what was told is told; the same command goes on.
    """
    config = load_study(options.config)
    check_identity(RunFolder(config.output), config.identity())
    if not RunFolder(config.output).bundles.exists():
        message = f"the study in {config.output} has written no bundle: use amp-tune bundle first"
        raise InputError.one("$.output", message)
    results = Results(options.results)
    with locked(config.output) as (folder, lock):
        rounds = Rounds(folder)
        described = results.described
        one = rounds.of(described.bundle, described.study, results.path)
        if results.digest in one.ingested:
            raise results.error("was taken in before; nothing is told twice")
        rounds.check_machine(results.machine, results.path)
        if not results.has(float32_name(tf32=False), SEARCH):
            raise results.error("holds no measurement of FP32, so it says nothing of settings")
        return _run(config, folder, lock, results, one, follower(quiet=options.quiet))


def _run(
    config: StudyConfig,
    folder: RunFolder,
    lock: Lock,
    results: Results,
    one: StoredRound,
    following: Following,
) -> int:
    clock = Clock(folder)
    machine = results.machine
    with following.shown():
        loading = tell_loading(config.name, following.follow)
        session = open_session(
            config,
            folder.work,
            start=lowering_starter(config, folder.work, machine.software),
            bench_of=RecordedBench,
            hardware=machine.hardware,
        )
        assert isinstance(session.bench, RecordedBench)
        session.bench.results = results
        try:
            claim(folder, session.identity(), config.to_plain(), config.study_file)
            with (
                contextlib.closing(EventLog(folder.events, following.follow, [loading])) as log,
                contextlib.closing(Tuning(session, folder, log, clock=clock, lock=lock)) as tuning,
            ):
                answer = _ingest(session, folder, log, tuning)
                rounds = Rounds(folder)
                rounds.keep_machine(machine)
                rounds.took_in(one, results.digest)
                log.write("ingested", {"bundle": one.bundle, "results": results.digest})
                ended = Ended(answer, tuning.progress(), folder)
                write_report(folder, log, tuning)
                left = len(set(one.trials) - tuning.trials.keys())
        finally:
            session.bench.close()
    if not results.described.complete:
        message = f"{results.path} is of a run that was not complete: {left} trials wait for more"
        following.note(message)
    show(ended, config, following)
    return ended.exit_code


def _ingest(session: Session, folder: RunFolder, log: EventLog, tuning: Tuning) -> Answer:
    """Tells the study what the results file says; publishes, whatever ends it."""
    bench = session.bench
    assert isinstance(bench, RecordedBench)
    tuning.phases.enter("judging")
    bench.check()
    tuning.measure_baseline()
    try:
        tuning.prepare(Rounds(folder).held())
        # Twins of one graph wait for the first of them, which has the lowest number.
        for proposal in tuning.running():
            plan = tuning.to_measure(proposal)
            if plan is None or bench.has(plan):
                tuning.settle(proposal)
        numbers = [trial.number for trial in to_publish(session, folder, tuning.trials)]
        minimising = Minimising(session, folder, log, tuning, lambda: 0.0)
        minimising.drop_idle_moves(numbers)
        take_in(session, folder, bench, tuning)
    finally:
        answer = published(session, folder, log, tuning)
    assert answer is not None, "FP32 was timed"
    tell_unconfirmed(folder, log)
    return answer
