"""``amp-tune bundle``: what a device that cannot be reached from here is to measure."""

from __future__ import annotations

import argparse
import contextlib
import shutil
from pathlib import Path

from amp_tuner.api.opening import tell_loading
from amp_tuner.api.running import locked
from amp_tuner.bundle.proposing import Asked, Proposing
from amp_tuner.bundle.recorded import RecordedBench
from amp_tuner.bundle.rounds import Rounds, new_round
from amp_tuner.bundle.unconfirmed import unconfirmed
from amp_tuner.bundle.writing import Written, manifest_of, stage_data, write_bundle
from amp_tuner.cli.following import Following, follower
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, Problem
from amp_tuner.files import private_files
from amp_tuner.output.clock import Clock
from amp_tuner.output.folder import Lock, RunFolder, check_identity, claim
from amp_tuner.results.event_log import EventLog
from amp_tuner.search.samplers import check_sampler
from amp_tuner.study.baseline import known_baseline
from amp_tuner.study.session import Session, open_session
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.workers import lowering_starter
from amp_tuner.text import now

#: Newer than every StableHLO: what TensorFlow writes is written.
_NEWEST = "999.0.0"


@private_files()
def run(options: argparse.Namespace) -> int:
    """Runs the verb; a bundle holds the model's weights and inputs, so it is the user's alone.

    Raises:
        InputError: anything that is wrong with the user's input; nothing is written over.
        TargetError: TensorFlow cannot be started here.
        KeyboardInterrupt: the study is as it was, but for proposals whose end was known.
    """
    config = load_study(options.config)
    check_sampler(config.search.sampler)
    _check(config, options.output)
    check_identity(RunFolder(config.output), config.identity())
    following = follower()
    with locked(config.output) as (folder, lock):
        output = options.output or _next_to(folder)
        if output.exists():
            raise InputError.one("--output", _taken(output))
        return _run(config, folder, lock, following, options, output.absolute())


def _check(config: StudyConfig, output: Path | None) -> None:
    problems = []
    if config.target.runtime != "xla":
        message = f"found {config.target.runtime}; a bundle needs xla"
        problems.append(Problem("$.target.runtime", message))
    if config.storage is not None:
        problems.append(Problem("$.storage", "a bundle's study is in its folder; allowed: null"))
    if config.search.granularity != "op_type":
        message = f"found {config.search.granularity}; a bundle needs op_type"
        problems.append(Problem("$.search.granularity", message))
    if config.target.cores is not None:
        message = "pins processes of this machine, but a bundle is measured elsewhere; remove it"
        problems.append(Problem("$.target.cores", message))
    if output is not None and output.exists():
        problems.append(Problem("--output", _taken(output)))
    folder = RunFolder(config.output)
    if folder.identity.exists() and folder.trials.exists() and not folder.bundles.exists():
        message = f"the study in {folder.root} was measured by amp-tune run: name another folder"
        problems.append(Problem("$.output", message))
    if problems:
        raise InputError(problems)


def _taken(output: Path) -> str:
    return f"{output} exists already; allowed: a new folder"


def _next_to(folder: RunFolder) -> Path:
    number = len(Rounds(folder).all()) + 1
    return folder.root.with_name(f"{folder.root.name}-bundle-{number:03d}")


def _run(
    config: StudyConfig,
    folder: RunFolder,
    lock: Lock,
    following: Following,
    options: argparse.Namespace,
    output: Path,
) -> int:
    rounds = Rounds(folder)
    machine = rounds.machine()
    facts = {"stablehlo": _NEWEST} if machine is None else dict(machine.software)
    if options.stablehlo is not None:
        facts["stablehlo"] = options.stablehlo
    clock = Clock(folder)
    with following.shown():
        loading = tell_loading(config.name, following.follow)
        start = lowering_starter(config, folder.work, facts)
        session = open_session(config, folder.work, start=start, bench_of=RecordedBench)
        try:
            claim(folder, session.identity(), config.to_plain(), config.study_file)
            known_baseline(session, folder)
            with (
                contextlib.closing(EventLog(folder.events, following.follow, [loading])) as log,
                contextlib.closing(Tuning(session, folder, log, clock=clock, lock=lock)) as tuning,
            ):
                tuning.phases.enter("bundling")
                asked, written = _bundle(session, folder, tuning, options, output)
                log.write("bundled", {"bundle": written.bundle, "trials": list(asked.trials)})
                tuning.clock.save()
        finally:
            session.bench.close()
    _tell(following, asked, written, options)
    return 0


def _bundle(
    session: Session,
    folder: RunFolder,
    tuning: Tuning,
    options: argparse.Namespace,
    output: Path,
) -> tuple[Asked, Written]:
    rounds = Rounds(folder)
    staged = folder.work / "bundle"
    tuning.prepare(rounds.held())
    stage_data(session, staged)
    proposing = Proposing(session, tuning, staged)
    entries = [*proposing.float32(), *proposing.again(unconfirmed(session, folder, tuning.trials))]
    asked = proposing.ask(options.trials, tuning.running())
    manifest = manifest_of(session, [*entries, *asked.entries], staged)
    written = write_bundle(output, manifest, staged, options.part_size)
    # In this order a kill leaves proposals that are asked for again, never a bundle's that are not.
    tuning.keep()
    rounds.add(new_round(written.bundle, output, now(), asked.trials))
    shutil.rmtree(staged)
    return asked, written


def _tell(
    following: Following, asked: Asked, written: Written, options: argparse.Namespace
) -> None:
    proposed = sum(not entry.reference for entry in asked.entries)
    if proposed < options.trials:
        following.note(f"only {proposed} distinct effective graphs were found")
    for file in written.cut:
        following.note(f"{file} is larger than a part: it is cut into byte ranges")
    sizes = ", ".join(f"{size / 2**20:.1f} MiB" for size in written.parts_bytes)
    count = len(written.parts_bytes)
    following.note(f"bundle {written.bundle}: {len(asked.entries)} settings beside FP32")
    following.note(f"{count} part{'s' if count > 1 else ''} ({sizes}) in {written.folder}")
    following.note("on the device machine, with an interpreter that has JAX: python run_bundle.py")
