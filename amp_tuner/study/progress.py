"""How a study tells those who follow it where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from amp_tuner.records import Trial


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
