"""What the trials of a study tell the sampler: times, errors, failures, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from amp_tuner.search.looks import Look

Array = NDArray[np.float64]

#: A 95 % interval is so many standard deviations to each side.
_SIDES = 1.96
#: Bounds of the floor of drops, as shares of the drop that the goal allows: what differs by less
#: is the same to a search.
_FINEST, _COARSEST = 1 / 300, 1 / 5


@dataclass(frozen=True)
class Prediction:
    """What sampler ``amp`` expects of a setting: normal distributions of two logarithms.

    Attributes:
        log_time, log_time_deviation: of the time over FP32's.
        log_error, log_error_deviation: of the drop above ``floor``.
        floor: what is added to a drop before its logarithm is taken.
        gain: expected growth of the hypervolume, as a share of what there is.
        hope: the same of the best candidate, if the model is half as certain as it says.
        explores: chosen because little is known there, not for its gain.
        enumerated: chosen among settings that were enumerated before, which ``hope`` is of then.
    """

    log_time: float
    log_time_deviation: float
    log_error: float
    log_error_deviation: float
    floor: float
    gain: float
    hope: float
    explores: bool
    enumerated: bool = False


@dataclass(frozen=True)
class Told:
    """One trial that ended, its graph known.

    Attributes:
        parameters: as the search space encodes them.
        look: its painted graph.
        speedup: None where it was not timed.
        drop: loss of accuracy; None where it failed.
        limit: the drop that the accuracy goal allows, as far as this trial tells.
        speedup_interval, drop_interval: 95 %; None where nothing is known of the noise.
        predicted: what was expected of it; None where nothing was.
    """

    parameters: Mapping[str, str]
    look: Look
    speedup: float | None
    drop: float | None
    limit: float | None = None
    speedup_interval: tuple[float, float] | None = None
    drop_interval: tuple[float, float] | None = None
    predicted: Prediction | None = None


@dataclass(frozen=True)
class Evidence:
    """Trials as the model's data; a graph that was measured twice counts once.

    Attributes:
        told: one trial for each graph, oldest first.
        finest: the floor's lower bound, as a share of the drop that the accuracy goal allows.
        floor: what is added to a drop before its logarithm is taken: about what the measurements
            can tell apart.
        limit: the drop that the accuracy goal allows; None where nothing is known of one.
    """

    told: tuple[Told, ...]
    finest: float = _FINEST
    floor: float = field(init=False)
    limit: float | None = field(init=False)

    @classmethod
    def of(cls, told: Sequence[Told], finest: float = _FINEST) -> Evidence:
        """The first trial of each graph counts."""
        by_graph: dict[str, Told] = {}
        for one in told:
            by_graph.setdefault(one.look.graph_id, one)
        return cls(tuple(by_graph.values()), finest)

    def __post_init__(self) -> None:
        limits = [one.limit for one in self.told if one.limit is not None]
        limit = float(np.median(limits)) if limits else None
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "floor", _floor(self.told, limit, self.finest))

    def timed(self) -> list[Told]:
        """16-bit graphs with a speed-up."""
        return [one for one in self.told if one.speedup is not None and one.look.is_16bit]

    def judged(self) -> list[Told]:
        """16-bit graphs with a drop."""
        return [one for one in self.told if one.drop is not None and one.look.is_16bit]

    def log_time(self, one: Told) -> tuple[float, float]:
        """Of one that was timed: minus the logarithm of the speed-up, and its variance."""
        assert one.speedup is not None
        if one.speedup_interval is None:
            return -float(np.log(one.speedup)), 0.0
        low, high = one.speedup_interval
        return -float(np.log(one.speedup)), (float(np.log(high / low)) / 2 / _SIDES) ** 2

    def log_error(self, one: Told) -> tuple[float, float]:
        """Of one that was judged: the logarithm of its drop above the floor, and its variance."""
        assert one.drop is not None
        above = max(one.drop, 0.0) + self.floor
        if one.drop_interval is None:
            return float(np.log(above)), 0.0
        low, high = one.drop_interval
        return float(np.log(above)), ((high - low) / 2 / _SIDES / above) ** 2


def _floor(told: Sequence[Told], limit: float | None, finest: float) -> float:
    """Half of the narrowest usual half-width, but of the order of what the goal is about."""
    judged = [one for one in told if one.drop is not None and one.look.is_16bit]
    largest = max((abs(one.drop) for one in judged if one.drop is not None), default=0.0)
    scale = limit if limit is not None and limit > 0 else largest
    halves = [
        (interval[1] - interval[0]) / 2
        for one in judged
        if (interval := one.drop_interval) is not None
    ]
    resolution = float(np.quantile(halves, 0.1)) / 2 if halves else 0.0
    return max(float(np.clip(resolution, scale * finest, scale * _COARSEST)), 1e-12)
