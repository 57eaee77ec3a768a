"""Figures and settings as the pages write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.judge.goal import Goal
from amp_tuner.records import FLOAT32, Accuracy, Interval, Setting, baseline_name

#: An end of an interval beyond this tells nothing but its size.
_HARDLY_KNOWN = 1e4
#: What a verdict says.
VERDICTS = {"meets": "meets", "misses": "misses", "uncertain": "not certain"}


@dataclass(frozen=True)
class AccuracyAxis:
    """How a study's accuracy is drawn: as the goal counts it.

    Attributes:
        title: with the unit.
        upwards: larger values are better.
        limit: the goal.
    """

    title: str
    upwards: bool
    limit: float
    goal: Goal

    @classmethod
    def of(cls, config: AccuracyConfig) -> AccuracyAxis:
        """The axis of a study's metric and goal."""
        goal = config.parsed_goal
        if goal.kind in ("min", "max"):
            return cls(config.metric, goal.kind == "min", goal.limit, goal)
        unit = ", %" if goal.relative else ""
        title = f"loss of {config.metric} against FP32{unit}"
        return cls(title, False, goal.limit * (100 if goal.relative else 1), goal)

    def value(self, accuracy: Accuracy) -> Interval:
        """An accuracy's place."""
        if self.goal.kind in ("min", "max"):
            return accuracy.score
        return self.loss(accuracy)

    def loss(self, accuracy: Accuracy) -> Interval:
        """The drop against FP32, in percent where the goal is relative."""
        factor = 100 if self.goal.relative else 1
        drop = accuracy.drop
        return Interval(factor * drop.value, factor * drop.low, factor * drop.high)


def figures(interval: Interval | None, digits: int = 3, unit: str = "") -> str:
    """``1.234x [1.229, 1.240]``, or the value alone where it is exact; nothing for None."""
    if interval is None:
        return ""
    parts = (interval.value, interval.low, interval.high)
    value, low, high = (_number(part, digits) for part in parts)
    return f"{value}{unit}" if low == high else f"{value}{unit} [{low}, {high}]"


def speed_in_words(speedup: Interval | None, modelled_for: str | None) -> str:
    """``1.234x [1.229, 1.240]`` over FP32, or ``modelled 1.234x``; nothing for None."""
    words = figures(speedup, unit="x")
    return f"modelled {words}" if words and modelled_for is not None else words


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < _HARDLY_KNOWN else f"{value:.0e}"


def significant(interval: Interval) -> str:
    """The same with four digits that say something, whatever the size."""
    value, low, high = (f"{part:.4g}" for part in (interval.value, interval.low, interval.high))
    return value if low == high else f"{value} [{low}, {high}]"


def setting_in_words(setting: Setting) -> str:
    """The data type, and the level or the switches where they are not the usual ones."""
    name = baseline_name(setting) if setting.data_type == FLOAT32 else setting.data_type
    level = "" if setting.level == "default" else f", level {setting.level}"
    onednn = ", oneDNN off" if setting.onednn is False else ""
    return f"{name}{level}{onednn}"


def all_moves(moves: Mapping[str, str]) -> str:
    """``GatherV2 to allow, Sum to clear``."""
    return ", ".join(f"{op_type} to {place}" for op_type, place in sorted(moves.items()))
