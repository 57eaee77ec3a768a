"""The front, measured again: fresh timing, and accuracy on the samples that were held back.

What the search saw is flattered: of many noisy figures the best ones were picked. What is
published is therefore measured afresh, once, and kept in ``confirmed/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.files import write_json
from amp_tuner.folder import RunFolder
from amp_tuner.records import FLOAT32, Measurement, Trial
from amp_tuner.session import Session

#: What is published may be timed for longer than the search times: this many times as long.
PATIENCE = 2.0


def read_confirmations(folder: RunFolder) -> dict[int, Measurement | str]:
    """What was confirmed so far: trial number to its measurement, or to why it failed."""
    found: dict[int, Measurement | str] = {}
    for path in sorted(folder.confirmed.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        measurement = content["measurement"]
        found[int(path.stem)] = (
            content["cause"] if measurement is None else Measurement.from_json(measurement)
        )
    return found


def confirm(
    session: Session,
    folder: RunFolder,
    members: Sequence[Trial],
    phase: Callable[[str], None],
    enough: Callable[[], bool],
) -> None:
    """Measures ``members`` again, except those that were before; each is kept as it is known.

    Args:
        session: its bench measures.
        folder: where confirmations are kept.
        members: trials with a measurement of their own.
        phase: told what is being done.
        enough: asked before each member whether time is up.

    Raises:
        TargetError: FP32 does not run any more; the next run tries again.
    """
    done = read_confirmations(folder)
    for position, trial in enumerate(members, start=1):
        if trial.number in done or enough():
            continue
        phase(f"measuring the front again: {position}/{len(members)}")
        outcome = _outcome(session, trial)
        if isinstance(outcome, str):
            # It has run before, so a failure is not believed at once.
            outcome = _outcome(session, trial)
        if isinstance(outcome, str) and trial.setting.data_type == FLOAT32:
            raise TargetError(f"the target cannot run the FP32 model any more: {outcome}")
        write_json(
            folder.confirmation(trial.number),
            {
                "format": 1,
                "measurement": None if isinstance(outcome, str) else outcome.to_json(),
                "cause": outcome if isinstance(outcome, str) else None,
            },
        )


def _outcome(session: Session, trial: Trial) -> Measurement | str:
    """The fresh measurement, or why there is none."""
    try:
        return _again(session, trial)
    except WorkerFailure as failure:
        return failure.cause


def _again(session: Session, trial: Trial) -> Measurement:
    part = "holdout" if len(session.data.holdout) else "search"
    plan = session.planner.plan(trial.setting)
    baseline = trial.setting.data_type == FLOAT32 and (
        session.switch.of(trial.setting) == session.bench.baseline_state
    )
    if baseline:
        assert trial.measurement is not None
        return session.bench.baseline(part, trial.measurement)
    return session.bench.measure(
        plan, part, always_timed=True, dominated_below=None, patience=PATIENCE
    )
