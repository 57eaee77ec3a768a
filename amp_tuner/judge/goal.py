"""The accuracy goal: what a study file may write, and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amp_tuner.errors import InputError
from amp_tuner.judge.metrics import Metric
from amp_tuner.records import Interval

GOAL_HINT = (
    "'99%' or '99.9%' (of FP32's score), {max_drop: 0.01, kind: relative}, "
    "{max_drop: 0.01, kind: absolute}, {min: x} or {max: x}"
)
PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%", re.ASCII)
GOAL_KINDS = ("relative", "absolute")


@dataclass(frozen=True)
class Goal:
    """What a candidate must keep.

    Attributes:
        kind: ``relative`` or ``absolute`` (the drop against FP32 is at most ``limit``), ``min``
            or ``max`` (the score itself is at least, at most ``limit``).
        limit: in the metric's unit; for ``relative`` a share of FP32's score.
    """

    kind: str
    limit: float

    def __str__(self) -> str:
        if self.kind in ("min", "max"):
            return f"{'at least' if self.kind == 'min' else 'at most'} {self.limit:g}"
        loss = f"{100 * self.limit:g} %" if self.relative else f"{self.limit:g}"
        return f"at most {loss} worse than FP32's"

    @property
    def relative(self) -> bool:
        """Whether drops are counted as a share of FP32's score."""
        return self.kind == "relative"

    def verdict(self, score: Interval, drop: Interval) -> str:
        """``meets`` or ``misses`` where the whole interval says so, else ``uncertain``.

        Args:
            score: the candidate's score, for ``min`` and ``max``.
            drop: the paired drop in the goal's own kind, for the others.
        """
        if self.kind == "min":
            return _verdict(-score.high, -score.low, -self.limit)
        if self.kind == "max":
            return _verdict(score.low, score.high, self.limit)
        return _verdict(drop.low, drop.high, self.limit)

    def beyond(self, score: float, drop: float) -> float:
        """How far an estimate misses the goal, in the goal's unit; 0 or less meets it."""
        if self.kind == "min":
            return self.limit - score
        if self.kind == "max":
            return score - self.limit
        return drop - self.limit


def _verdict(low: float, high: float, limit: float) -> str:
    if high <= limit:
        return "meets"
    return "misses" if low > limit else "uncertain"


def parse_goal(written: Any) -> Goal:
    """The goal that a study file writes as ``written``.

    A share such as ``'99%'`` allows a relative drop of 1 %; for metrics where lower is better
    that is an error at most 1 % above FP32's.

    Raises:
        ValueError: not a goal; the message says what is wrong.
    """
    if isinstance(written, str):
        match = PERCENT.fullmatch(written)
        if match is None or not 0 < float(match[1]) <= 100:
            raise ValueError("a share must be above 0% and at most 100%")
        # Decimal places of the percentage: 1 - 99.9 / 100 is 0.0010000000000000009.
        return Goal("relative", round(1 - float(match[1]) / 100, 12))
    if not isinstance(written, Mapping):
        raise ValueError("neither a share nor a mapping")
    keys = set(written)
    if keys in ({"min"}, {"max"}):
        kind = keys.pop()
        return Goal(kind, _number(written[kind], kind))
    if "max_drop" not in keys or keys - {"max_drop", "kind"}:
        raise ValueError(f"keys {', '.join(map(str, written)) or '(none)'}")
    kind = written.get("kind", "relative")
    if kind not in GOAL_KINDS:
        raise ValueError(f"kind {kind!r} is neither relative nor absolute")
    limit = _number(written["max_drop"], "max_drop")
    if limit < 0 or (kind == "relative" and limit >= 1):
        raise ValueError(
            f"max_drop {limit:g} must be 0 or more" + (" and below 1" if kind == "relative" else "")
        )
    return Goal(kind, limit)


def _number(value: Any, key: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) < 1e300:
        raise ValueError(f"{key} {value!r} is not a finite number")
    return float(value)


def goal_problem(goal: Goal, metric: Metric) -> str | None:
    """What is wrong with ``goal`` for ``metric``; None if nothing is."""
    if goal.kind == "min" and not metric.higher_is_better:
        return f"{{min}} is not for {metric.name}, where lower is better; allowed: {{max: x}}"
    if goal.kind == "max" and metric.higher_is_better:
        return f"{{max}} is not for {metric.name}, where higher is better; allowed: {{min: x}}"
    if metric.name == "sqnr" and goal.kind != "min":
        return (
            "FP32 has no noise against itself, so a share or a drop of its sqnr means nothing; "
            "allowed: {min: dB}, such as {min: 40}"
        )
    return None


def check_baseline(goal: Goal, baseline: float) -> None:
    """Refuses a relative drop of a score that is not positive.

    Raises:
        InputError: names an absolute goal instead.
    """
    if goal.relative and baseline <= 0:
        raise InputError.one(
            "$.accuracy.goal",
            f"a relative drop of FP32's score {baseline:g} means nothing (it is not above 0); "
            f"use an absolute one, such as {{max_drop: {goal.limit:g}, kind: absolute}}",
        )
