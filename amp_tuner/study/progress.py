"""How a study tells those who follow it where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from amp_tuner.config.model import StudyConfig
from amp_tuner.records import CACHED, FAILED, MEASURED, QUARANTINED, REFUSED, Trial
from amp_tuner.study.ended import EndedTrials


@dataclass(frozen=True)
class Progress:
    """How far the study is.

    Attributes:
        best: speed-up of the best setting that certainly meets the goal; None before there is one.
        front: members of the front.
        measured: settings measured, anchors included (what ``search.trials`` counts).
        trials: how many there will be at most.
        cached: proposals that were told a known result.
        refused: proposals that the pass itself fails on.
        quarantined: proposals of a setting that ended the worker twice.
        failed: trials that failed.
        spent_s: wall-clock seconds of all runs of the study so far.
        left_s: an estimate of what is left; None before the first trial.
        modelled: the speed-up is a device model's.
    """

    best: float | None
    front: int
    measured: int
    trials: int
    cached: int
    refused: int
    quarantined: int
    failed: int
    spent_s: float
    left_s: float | None
    modelled: bool = False


class Watcher(Protocol):
    """Who follows the study: the terminal."""

    def trial(self, trial: Trial, progress: Progress) -> None:
        """A trial has ended."""

    def notice(self, text: str) -> None:
        """Something that the user should know."""


def progress_of(ended: EndedTrials, config: StudyConfig, spent_s: float) -> Progress:
    """How far a study is.

    Args:
        ended: what it knows.
        config: its budgets, and what its speed-ups are.
        spent_s: wall-clock seconds of all its runs so far.
    """
    search = config.search
    outcomes, typical_s, left_s = ended.outcomes, ended.typical_s(), None
    if typical_s is not None:
        left_s = typical_s * max(0, search.trials - outcomes[MEASURED])
        if search.time_budget_s is not None:
            left_s = min(left_s, max(0.0, search.time_budget_s - spent_s))
    return Progress(
        best=ended.standing.best,
        front=ended.standing.front,
        measured=outcomes[MEASURED],
        trials=max(search.trials, outcomes[MEASURED]),
        cached=outcomes[CACHED],
        refused=outcomes[REFUSED],
        quarantined=outcomes[QUARANTINED],
        failed=outcomes[FAILED],
        spent_s=spent_s,
        left_s=left_s,
        modelled=config.target.profile is not None,
    )
