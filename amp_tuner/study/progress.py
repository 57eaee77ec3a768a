"""What a study tells of itself as it goes, as facts of events (:mod:`amp_tuner.results.event_log`).

Whoever follows it knows nothing but these events, so the log says all that a screen does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from amp_tuner.config.model import StudyConfig
from amp_tuner.records import (
    CACHED,
    FAILED,
    MEASURED,
    QUARANTINED,
    REFUSED,
    Accuracy,
    Interval,
    Trial,
)
from amp_tuner.study.budget import Budget
from amp_tuner.study.ended import EndedTrials


@dataclass(frozen=True)
class Progress:
    """How far the study is: the facts of ``progress``.

    Attributes:
        measured: settings measured, anchors included (what ``search.trials`` counts).
        trials: how many there will be at most.
        cached: proposals that were told a known result.
        refused: proposals that the pass itself fails on.
        quarantined: proposals of a setting that ended the worker twice.
        failed: trials that failed.
        spent_s: wall-clock seconds of all runs of the study so far.
        left_s: an estimate of what is left; None before there can be one.
        best: the fastest trial that certainly meets the goal; None before there is one.
        best_speedup: its speed-up.
        front: the front's members, the fastest first.
        modelled: speed-ups are a device model's.
    """

    measured: int
    trials: int
    cached: int
    refused: int
    quarantined: int
    failed: int
    spent_s: float
    left_s: float | None
    best: int | None
    best_speedup: Interval | None
    front: tuple[int, ...]
    modelled: bool = False


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
    outcomes, best = ended.outcomes, ended.standing.best
    return Progress(
        measured=outcomes[MEASURED],
        trials=max(config.search.trials, outcomes[MEASURED]),
        cached=outcomes[CACHED],
        refused=outcomes[REFUSED],
        quarantined=outcomes[QUARANTINED],
        failed=outcomes[FAILED],
        spent_s=spent_s,
        left_s=budget.left_s(),
        best=None if best is None else best.number,
        best_speedup=None if best is None else best.speedup,
        front=ended.standing.front,
        modelled=config.target.profile is not None,
    )


def ended_facts(trial: Trial) -> dict[str, Any]:
    """The facts of ``ended``; figures where the trial was measured itself."""
    facts = {
        "trial": trial.number,
        "state": trial.state,
        "cause": trial.cause,
        "cached_from": trial.cached_from,
        "anchor": trial.anchor,
        "data_type": trial.setting.data_type,
    }
    measurement = trial.measurement
    if measurement is None or trial.cached_from is not None:
        return facts
    timing, accuracy = measurement.timing, measurement.accuracy
    if timing is None:
        return {**facts, **figures(None, accuracy, None)}
    return {**facts, **figures(timing.speedup, accuracy, timing.modelled_for)}


def figures(
    speedup: Interval | None, accuracy: Accuracy, modelled_for: str | None
) -> dict[str, Any]:
    """A setting's figures, as events have them."""
    return {
        "speedup": None if speedup is None else asdict(speedup),
        "modelled_for": modelled_for,
        "accuracy": {
            "metric": accuracy.metric,
            **asdict(accuracy.score),
            "drop": accuracy.drop.value,
            "verdict": accuracy.verdict,
            "samples": accuracy.samples,
        },
    }
