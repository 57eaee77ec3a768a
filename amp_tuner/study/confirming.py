"""The front, measured again: fresh timing, and accuracy on the samples that were held back.

What the search saw is flattered: of many noisy figures the best ones were picked. What is
published is therefore measured afresh and kept in ``confirmed/``; :mod:`amp_tuner.study.repeating`
then times it in further processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.files import write_json
from amp_tuner.output.disk import keep_words
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredConfirmation, numbered, read_stored
from amp_tuner.records import FLOAT32, Measurement, Trial
from amp_tuner.study.phases import Phases
from amp_tuner.study.session import Session

#: What is published may be timed for longer than the search times: this many times as long, all
#: processes together.
PATIENCE = 2.0


def patience_of(config: StudyConfig) -> float:
    """How many times ``measure.max_seconds`` a timing may take in one of the processes."""
    return PATIENCE / config.processes


def read_confirmations(folder: RunFolder) -> dict[int, Measurement | str]:
    """What was confirmed so far: trial number to its measurement, or to why it failed."""
    found = {}
    for number, path in numbered(folder.confirmed):
        held = read_stored(path, StoredConfirmation)
        found[number] = held.measurement or held.cause or "failed"
    return found


def confirm(
    session: Session,
    folder: RunFolder,
    members: Sequence[Trial],
    phases: Phases,
    enough: Callable[[], bool],
) -> None:
    """Measures ``members`` again, except those that were before; each is kept as it is known.

    Args:
        session: its bench measures.
        folder: where confirmations are kept.
        members: trials with a measurement of their own.
        phases: told what is being done.
        enough: asked before each member whether time is up.

    Raises:
        TargetError: FP32 does not run any more; the next run tries again.
    """
    done = read_confirmations(folder)
    for position, trial in enumerate(members, start=1):
        if trial.number in done or enough():
            continue
        phases.enter("confirming", trial=trial.number, position=position, of=len(members))
        outcome = _outcome(session, trial)
        if isinstance(outcome, WorkerFailure) and not enough():
            # It has run before, so a failure is not believed at once.
            outcome = _outcome(session, trial)
        if isinstance(outcome, WorkerFailure):
            words = outcome.last_words or outcome.cause
            keep_words(folder, f"{trial.number:04d}-confirmation", words)
            if trial.setting.data_type == FLOAT32:
                message = f"the target cannot run the FP32 model any more: {outcome.cause}"
                raise TargetError(message)
        write_confirmation(folder, trial, outcome)


def write_confirmation(
    folder: RunFolder, trial: Trial, outcome: Measurement | WorkerFailure
) -> None:
    """Keeps what measuring a trial again gave, in place of what was known."""
    content = {
        "format": 1,
        "measurement": None if isinstance(outcome, WorkerFailure) else outcome.to_json(),
        "cause": outcome.cause if isinstance(outcome, WorkerFailure) else None,
    }
    write_json(folder.confirmation(trial.number), content)


def _outcome(session: Session, trial: Trial) -> Measurement | WorkerFailure:
    """The fresh measurement, or why there is none."""
    try:
        return again(session, trial, patience_of(session.config))
    except WorkerFailure as failure:
        return failure


def again(session: Session, trial: Trial, patience: float) -> Measurement:
    """Accuracy on what was held back, and timing, afresh.

    Raises:
        WorkerFailure: it failed, with its cause.
        OSError: the disk is full.
    """
    part = "holdout" if len(session.data.holdout) else "search"
    plan = session.planner.plan(trial.setting)
    if session.is_baseline(trial.setting):
        assert trial.measurement is not None
        return session.bench.baseline(part, trial.measurement)
    return session.bench.measure(
        plan, part, always_timed=True, dominated_below=None, patience=patience
    )
