"""The front, measured again: fresh timing, and accuracy on the samples that were held back.

What the search saw is flattered: of many noisy figures the best ones were picked. What is
published is therefore measured afresh and kept in ``confirmed/``. What is left of the time budget
goes to those whose place on the front is still in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.files import write_json
from amp_tuner.output.disk import keep_words
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredConfirmation, numbered, read_stored
from amp_tuner.records import FLOAT32, Measurement, Trial
from amp_tuner.study.phases import Phases
from amp_tuner.study.session import Session

#: What is published may be timed for longer than the search times: this many times as long.
PATIENCE = 2.0
#: A timing may take this share of the time that a trial may take; the rest is building, accuracy.
_LONGEST = 0.5


def read_confirmations(folder: RunFolder) -> dict[int, Measurement | str]:
    """What was confirmed so far: trial number to its measurement, or to why it failed."""
    return {
        number: held.cause or "failed" if held.measurement is None else held.measurement
        for number, held in _read(folder).items()
    }


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
        _write(folder, trial, outcome, PATIENCE)


def settle(
    session: Session,
    folder: RunFolder,
    in_doubt: Callable[[], Sequence[Trial]],
    phases: Phases,
    left_s: Callable[[], float],
) -> None:
    """Spends what is left of the time budget on the points whose place on the front is in doubt.

    Each round times them afresh, for twice as long as they were timed before; that takes the place
    of the shorter timing, whatever it says. A point that fails now keeps what it had. It ends when
    nothing is in doubt, no time is left, or a timing would be longer than a trial may take.

    Args:
        session: its bench measures.
        folder: where confirmations are kept.
        in_doubt: gives those points, as far as measuring may still help.
        phases: told what is being done.
        left_s: seconds that may still be spent.
    """
    config = session.config
    given_up: set[int] = set()
    while True:
        known = read_patience(folder)
        open_ = {trial.number: trial for trial in in_doubt() if trial.number not in given_up}
        if not open_:
            return
        number = min(open_, key=lambda one: known.get(one, 0.0))
        patience = max(PATIENCE, 2 * known.get(number, 0.0))
        needed_s = patience * config.measure.max_seconds
        if needed_s > _LONGEST * config.limits.trial_seconds:
            given_up.add(number)
            continue
        if needed_s + config.measure.max_seconds > left_s():
            return
        phases.enter("settling", trial=number, of=len(open_))
        outcome = _outcome(session, open_[number], patience)
        if isinstance(outcome, WorkerFailure):
            given_up.add(number)
        else:
            _write(folder, open_[number], outcome, patience)


def read_patience(folder: RunFolder) -> dict[int, float]:
    """For how many times ``measure.max_seconds`` each confirmed trial was timed."""
    return {number: held.patience for number, held in _read(folder).items()}


def _read(folder: RunFolder) -> dict[int, StoredConfirmation]:
    paths = numbered(folder.confirmed)
    return {number: read_stored(path, StoredConfirmation) for number, path in paths}


def _write(
    folder: RunFolder, trial: Trial, outcome: Measurement | WorkerFailure, patience: float
) -> None:
    content = {
        "format": 1,
        "measurement": None if isinstance(outcome, WorkerFailure) else outcome.to_json(),
        "cause": outcome.cause if isinstance(outcome, WorkerFailure) else None,
        "patience": patience,
    }
    write_json(folder.confirmation(trial.number), content)


def _outcome(
    session: Session, trial: Trial, patience: float = PATIENCE
) -> Measurement | WorkerFailure:
    """The fresh measurement, or why there is none."""
    try:
        return _again(session, trial, patience)
    except WorkerFailure as failure:
        return failure


def _again(session: Session, trial: Trial, patience: float) -> Measurement:
    part = "holdout" if len(session.data.holdout) else "search"
    plan = session.planner.plan(trial.setting)
    baseline = trial.setting.data_type == FLOAT32 and (
        session.switch.of(trial.setting) == session.bench.baseline_state
    )
    if baseline:
        assert trial.measurement is not None
        return session.bench.baseline(part, trial.measurement)
    return session.bench.measure(
        plan, part, always_timed=True, dominated_below=None, patience=patience
    )
