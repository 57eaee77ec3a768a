"""Which settings of the front have no figures but the search's, and how a round's are taken in."""

from __future__ import annotations

from collections.abc import Mapping

from amp_tuner.bundle.manifest import AGAIN
from amp_tuner.bundle.recorded import RecordedBench
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Trial
from amp_tuner.study.confirming import confirm, read_confirmations
from amp_tuner.study.contending import to_confirm
from amp_tuner.study.minimal_settings import minimised, read_minimal
from amp_tuner.study.planning import Plan
from amp_tuner.study.session import Session
from amp_tuner.study.tuning import Tuning


def to_publish(session: Session, folder: RunFolder, trials: Mapping[int, Trial]) -> list[Trial]:
    """What the search's figures would publish, the most important first."""
    shown = minimised(trials, read_minimal(folder), read_confirmations(folder))
    return to_confirm(session, shown)


def unconfirmed(
    session: Session, folder: RunFolder, trials: Mapping[int, Trial]
) -> dict[int, Plan]:
    """16-bit settings that are published with the search's figures: the next round's to repeat."""
    done = read_confirmations(folder)
    return {
        trial.number: session.planner.plan(trial.setting)
        for trial in to_publish(session, folder, trials)
        if trial.number not in done and trial.setting.data_type != FLOAT32
    }


def take_in(session: Session, folder: RunFolder, bench: RecordedBench, tuning: Tuning) -> None:
    """Confirms what will be published by what was measured once more, as far as that is there.

    The search's figures alone choose, so the second ones are nobody's lucky pick.
    """
    bench.stage = AGAIN
    members = [
        trial
        for trial in to_publish(session, folder, tuning.trials)
        if bench.has(session.planner.plan(trial.setting))
    ]
    confirm(session, folder, members, tuning.phases, lambda: False)
