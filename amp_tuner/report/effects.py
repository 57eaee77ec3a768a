"""What single moves change: measured graphs that are one move apart, held against each other.

From each measured setting each of its moves is taken back in turn; where the graph that is left
was measured too, the two make a pair. Their ratio of speed-ups and their difference in accuracy
need no model of how moves work together, so they say what the move did there, and nothing of
settings that were never run.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scipy.stats import t

from amp_tuner.judge.intervals import CONFIDENCE
from amp_tuner.records import FLOAT32, Interval, Setting, Trial

#: Gives the id of a setting's effective graph; None where the pass fails on it.
GraphOf = Callable[[Setting], "str | None"]
#: A painting costs milliseconds: about ten seconds of them, the fastest settings first.
_MOST_PAINTINGS = 3000
#: Data type, op type, list.
_Move = tuple[str, str, str]
#: Graph and switches.
_Key = tuple[str, "bool | None", "bool | None"]


@dataclass(frozen=True)
class Effect:
    """What moving one op type from its default list changes.

    Attributes:
        data_type: of both settings.
        op_type, place: the op type, and the list that it goes to.
        speed: speed with the move over speed without it; above 1 is faster.
        drop: loss of accuracy with it less the loss without it; above 0 is worse.
        pairs: pairs of different graphs that it rests on.
    """

    data_type: str
    op_type: str
    place: str
    speed: Interval
    drop: Interval
    pairs: int


@dataclass(frozen=True)
class _Measured:
    """One graph that was timed: the logarithm of its speed-up, its drop, its shortest setting."""

    gain: Interval
    drop: Interval
    setting: Setting


def single_moves(trials: Iterable[Trial], graph_of: GraphOf) -> tuple[Effect, ...]:
    """Every move of which there is a pair, the largest changes of speed first.

    With one pair the interval is that of a difference of two estimates (MOVER, see
    :mod:`amp_tuner.judge.front`); with more it is Student's, over the pairs, whose settings the
    search chose: a mean of what was tried, not of all there is.
    """
    known = _measured(trials)
    found: dict[_Move, list[tuple[Interval, Interval]]] = defaultdict(list)
    for move, moved, without in _pairs(known, graph_of):
        found[move].append((_less(moved.gain, without.gain), _less(moved.drop, without.drop)))
    effects = [_effect(move, changes) for move, changes in found.items()]
    return tuple(sorted(effects, key=lambda one: (-abs(math.log(one.speed.value)), one.op_type)))


def _measured(trials: Iterable[Trial]) -> dict[_Key, _Measured]:
    """Graphs with a speed-up; an equal graph's result was told to every setting that makes it."""
    found: dict[_Key, _Measured] = {}
    for trial in trials:
        if trial.measurement is None or trial.measurement.timing is None:
            continue
        speedup, setting = trial.measurement.timing.speedup, trial.setting
        key = (trial.measurement.effective.graph_id, setting.onednn, setting.tf32)
        before = found.get(key)
        if before is None or len(setting.moves) < len(before.setting.moves):
            gain = Interval(math.log(speedup.value), math.log(speedup.low), math.log(speedup.high))
            found[key] = _Measured(gain, trial.measurement.accuracy.drop, setting)
    return found


def _pairs(
    known: dict[_Key, _Measured], graph_of: GraphOf
) -> Iterator[tuple[_Move, _Measured, _Measured]]:
    fastest_first = sorted(known.items(), key=lambda one: -one[1].gain.value)
    paintings = 0
    for (graph_id, *switches), moved in fastest_first:
        setting = moved.setting
        for op_type in setting.moves if setting.data_type != FLOAT32 else ():
            paintings += 1
            if paintings > _MOST_PAINTINGS:
                return
            left = {op: place for op, place in setting.moves.items() if op != op_type}
            other = graph_of(replace(setting, moves=left))
            without = None if other is None else known.get((other, switches[0], switches[1]))
            if without is not None and other != graph_id:
                yield (setting.data_type, op_type, setting.moves[op_type]), moved, without


def _less(one: Interval, other: Interval) -> Interval:
    """The difference of two independent estimates (MOVER)."""
    value = one.value - other.value
    low = math.hypot(one.value - one.low, other.high - other.value)
    high = math.hypot(one.high - one.value, other.value - other.low)
    return Interval(value, value - low, value + high)


def _effect(move: _Move, changes: Sequence[tuple[Interval, Interval]]) -> Effect:
    gain = _mean([gain for gain, _ in changes])
    speed = Interval(math.exp(gain.value), math.exp(gain.low), math.exp(gain.high))
    return Effect(*move, speed, _mean([drop for _, drop in changes]), len(changes))


def _mean(differences: Sequence[Interval]) -> Interval:
    if len(differences) == 1:
        return differences[0]
    values = [one.value for one in differences]
    value = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = error * float(t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    return Interval(value, value - half, value + half)
