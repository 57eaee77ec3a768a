"""The accuracy ladder: one batch, then twice as many samples again and again, then all.

A candidate that certainly misses the goal is given up on the rung where that shows; each rung only
computes the samples that it adds. One in ten of those is run to the end all the same, so that the
share of false stops is known and not hoped for.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from amp_tuner.judge import intervals
from amp_tuner.judge.goal import Goal
from amp_tuner.judge.outputs import all_finite
from amp_tuner.records import Accuracy, Interval

#: Each rung but the last is one more chance to stop a good candidate by mistake, so a stop needs
#: more than the 97.5 % of a single look: a bound of 99.9 %. Where an estimate is roughly normal
#: its distance to the 97.5 % bound grows by this factor.
_STRICTER = 3.0902 / 1.9600
#: ... and, where a paired test fits the metric, a loss that chance gives once in a thousand.
_CHANCE = 0.001
#: With fewer samples only NaN and Inf are looked for: intervals that rest on resampling or on a
#: variance say nothing there.
FEWEST_JUDGED = 100
#: The share of the stopped candidates that is run to the end.
AUDITED = 0.1


@dataclass(frozen=True)
class Ladder:
    """One candidate's way up.

    Attributes:
        outputs: the candidate's outputs of samples [start, stop), counted from 0.
        judge: the accuracy of outputs of the first samples.
        error: how far outputs of the first samples are from FP32's.
        total: all samples.
        batch: samples of the first rung.
        goal: what must be kept.
        judged_from: fewer samples than this are not judged.
    """

    outputs: Callable[[int, int], Any]
    judge: Callable[[Any], Accuracy]
    error: Callable[[Any], float]
    total: int
    batch: int
    goal: Goal
    judged_from: int = FEWEST_JUDGED

    def climb(self, *, stops: bool, audited: bool) -> Accuracy:
        """Accuracy on as many samples as were needed.

        Args:
            stops: whether a certain miss ends it early.
            audited: go on after such an end; the result then says where it would have been.

        Raises:
            WorkerFailure: the outputs are not finite, or computing or judging them failed.
        """
        done: list[Any] = []
        start, stopped_at = 0, None
        for rung in rungs(self.total, self.batch):
            done.append(self.outputs(start, rung))
            start = rung
            enough = rung == self.total or (rung >= self.judged_from and stopped_at is None)
            if not enough and all_finite(done[-1]):
                continue
            accuracy = self.judge(np.concatenate(done))
            if rung == self.total:
                break
            if stops and certainly_misses(accuracy, self.goal):
                stopped_at = rung
                if not audited:
                    break
        error = self.error(done[0])
        # Where FP32's outputs are all 0 there is nothing to be relative to.
        known = error if math.isfinite(error) else None
        return replace(accuracy, stopped_at=stopped_at, batch_error=known)


def rungs(total: int, batch: int) -> tuple[int, ...]:
    """Numbers of samples after which is judged: from one batch on twice as many, then all."""
    found = []
    rung = min(batch, total)
    while rung < total:
        found.append(rung)
        rung *= 2
    return (*found, total)


def certainly_misses(accuracy: Accuracy, goal: Goal) -> bool:
    """Whether a part of the samples is enough to give a candidate up."""
    beyond_chance = accuracy.p_worse is None or accuracy.p_worse < _CHANCE
    # A goal for the score itself may be missed without any loss against FP32.
    if goal.kind in ("relative", "absolute") and not beyond_chance:
        return False
    return goal.verdict(_wider(accuracy.score), _wider(accuracy.drop)) == "misses"


def is_audited(seed: int, graph_id: str) -> bool:
    """Whether a stopped candidate is run to the end: one in ten, the same in every run."""
    random = np.random.default_rng([seed, zlib.crc32(graph_id.encode())])
    return bool(random.random() < AUDITED)


@dataclass(frozen=True)
class Stops:
    """What the ladder saved, and whether it was right.

    Attributes:
        stopped: candidates that certainly missed the goal before the last rung.
        audited: those of them that were run to the end.
        false: those of the audited that did not certainly miss it there.
    """

    stopped: int
    audited: int
    false: int

    @classmethod
    def of(cls, accuracies: Iterable[tuple[Accuracy, int]]) -> Stops:
        """Counted over accuracies, each with the number of all samples."""
        stopped = [
            (one, one.samples == total) for one, total in accuracies if one.stopped_at is not None
        ]
        ended = [one for one, audited in stopped if audited]
        false = sum(one.verdict != "misses" for one in ended)
        return cls(len(stopped), len(ended), false)

    def false_rate(self) -> Interval | None:
        """The share of false stops with its exact interval; None without any audit."""
        return intervals.share(self.false, self.audited) if self.audited else None

    def sentence(self) -> str | None:
        """In words; None if nothing was stopped."""
        if not self.stopped:
            return None
        said = f"the accuracy ladder gave up {self.stopped} settings early"
        rate = self.false_rate()
        if rate is None:
            return f"{said}; none of them was drawn to be run to the end"
        return (
            f"{said}; {self.audited} of them were run to the end all the same: {self.false} false "
            f"stops, {rate.value:.0%} [{rate.low:.0%}, {rate.high:.0%}]"
        )


def _wider(interval: Interval) -> Interval:
    value, low, high = interval.value, interval.low, interval.high
    return Interval(value, value - _STRICTER * (value - low), value + _STRICTER * (high - value))
