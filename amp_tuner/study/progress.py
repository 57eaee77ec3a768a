"""How a study tells those who follow it where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from amp_tuner.config.model import StudyConfig
from amp_tuner.records import CACHED, FAILED, MEASURED, QUARANTINED, REFUSED, Trial
from amp_tuner.study.budget import Budget
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


def progress_of(
    ended: EndedTrials, budget: Budget, config: StudyConfig, spent_s: float
) -> Progress:
    """How far a study is.

    Args:
        ended: what it knows.
        budget: what it may still use.
        config: its trials, and what its speed-ups are.
        spent_s: wall-clock seconds of all its runs so far.
    """
    outcomes = ended.outcomes
    return Progress(
        best=ended.standing.best,
        front=ended.standing.front,
        measured=outcomes[MEASURED],
        trials=max(config.search.trials, outcomes[MEASURED]),
        cached=outcomes[CACHED],
        refused=outcomes[REFUSED],
        quarantined=outcomes[QUARANTINED],
        failed=outcomes[FAILED],
        spent_s=spent_s,
        left_s=budget.left_s(),
        modelled=config.target.profile is not None,
    )
