"""Paired timing of a candidate against the baseline.

1. Warm up both sides and find how many runs make a block of at least ``min_block_ms``. Blocks are
   short: noise that lasts longer than a pair of blocks cancels, so an interval of the same width
   takes a fraction of the time that blocks of 100 ms take (``experiments/blocks``).
2. Time groups of four blocks: A B B A (A is the baseline), then B A A B, in turn. A group is two
   pairs; both blocks of a pair start at the same batch, and a drift that is steady over the group
   cancels between them. What the place in a group does (the first block after a pause runs some
   tenths of a percent slower) meets each side equally often.
3. Repeat a group whose first and last block, both of one side, differ by more than 2 %.
4. The speed-up is the median over pairs of the log ratio of block times (the median of a block's
   runs), with a bootstrap interval. Stop when it is narrow, when the candidate is certainly
   dominated, or when time is up.

Sides are callables, so this module knows nothing of workers: baseline and candidate may even live
in two processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from amp_tuner.errors import WorkerFailure
from amp_tuner.measure import blocks as of_blocks
from amp_tuner.measure import stats
from amp_tuner.measure.blocks import BASELINE, CANDIDATE, move, run_figures, seconds
from amp_tuner.measure.noise import RESOLVES
from amp_tuner.records import Block, Interval, Timing

#: Runs a side: (first batch, number of runs) to the seconds of each run.
Side = Callable[[int, int], Sequence[float]]

#: The orders of a group's blocks, in turn.
_ORDERS = (
    (BASELINE, CANDIDATE, CANDIDATE, BASELINE),
    (CANDIDATE, BASELINE, BASELINE, CANDIDATE),
)

#: Pairs before ``narrow`` is believed. Twice what a distribution-free interval needs: the interval
#: is looked at again and again, and with few pairs one that is narrow by luck would end it.
MIN_PAIRS = 2 * stats.MIN_VALUES
#: After the first looks, the interval is looked at when there is this much more data: each look is
#: one more chance to stop on a lucky interval.
_LOOK_GROWTH = 1.2
#: A block may grow to this many times the shortest length so that both sides have the same runs.
#: Beyond it (one side more than four times slower) the slower side runs fewer of the batches.
_SAME_RUNS_UP_TO = 4
#: A side's first run after the other's finds other data in the caches. The median of three runs
#: leaves it out; a run of 100 ms hardly feels it, since tens of megabytes are read in a few.
_LEAST_RUNS, _LONG_RUN_S = 3, 0.1
_CALIBRATION_MARGIN = 1.1
_CALIBRATION_GROWTH = 10

#: A block of the warm-up is twenty times as long, up to 100 ms: whether times still fall is seen
#: over tenths of a second, not from one hundredth to the next.
_WARMUP_BLOCKS, _WARMUP_BLOCK_MS = 20, 100.0
#: Warm-up is over when, on both sides, the last four block medians lie within 2 % of each other or
#: do not fall any more (mean of the last two at most 1 % below that of the two before).
_SETTLED_BLOCKS = 4
_SETTLED_SPREAD = 0.02
_SETTLED_FALL = 0.01
#: Where it never settles, it ends after this share of the time limit.
_WARMUP_SHARE = 0.3

#: A group whose outer blocks differ by more than this is repeated ...
_DRIFT = 0.02
#: ... the first one, and then at most one in so many groups, and so often in all: on a machine
#: whose blocks scatter by more than that anyway, repeating only takes the time from new groups.
_GROUPS_PER_REPEAT = 4
_MAX_REPEATS = 6


@dataclass(frozen=True)
class TimingRules:
    """When a measurement is good enough; the study file's ``measure`` section.

    Attributes:
        ci_half_width: stop when half of the speed-up's interval, relative, is below this.
        max_seconds: the whole measurement, warm-up included. One group is measured whatever
            happens, so a very slow model may take longer.
        min_block_ms: a block is at least this long, and has at least three runs if they are short.
        percentiles: of the latency of single runs, 0 to 100.
    """

    ci_half_width: float = 0.005
    max_seconds: float = 20.0
    min_block_ms: float = 5.0
    percentiles: tuple[float, ...] = (50.0, 90.0, 99.0)


def time_pair(
    baseline: Side,
    candidate: Side,
    rules: TimingRules,
    *,
    batch_size: int,
    clock: Callable[[], float] = time.monotonic,
    dominated_below: float | None = None,
) -> Timing:
    """Times ``candidate`` against ``baseline``.

    Args:
        baseline: runs the FP32 model.
        candidate: runs the setting on the same batches.
        rules: when to stop.
        batch_size: samples per run, for the throughput.
        clock: seconds; for block starts and the time limit only, never for the runs themselves.
        dominated_below: a speed-up that something as accurate is known to have; the measurement
            ends as soon as the candidate is certainly below it.

    Raises:
        WorkerFailure: from a side; or a side gave no or impossible times.
    """
    recorder = _Recorder({BASELINE: baseline, CANDIDATE: candidate}, clock)
    runs, settled = _warm_up(recorder, rules)
    groups = _Groups(recorder, runs, rules.max_seconds)
    reason = _measure(groups, rules, dominated_below)
    speedup, drift = groups.speedup(), of_blocks.drift(recorder.blocks)
    return timing_of(
        recorder.blocks,
        percentiles=rules.percentiles,
        stop_reason=reason,
        notices=_notices(groups, speedup, reason, drift, settled=settled),
        batch_size=batch_size,
    )


@dataclass
class _Recorder:
    """Runs blocks and keeps every one of them."""

    sides: dict[str, Side]
    clock: Callable[[], float]
    blocks: list[Block] = field(default_factory=list)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def elapsed_s(self) -> float:
        return self.clock() - self.started

    def run(self, side: str, phase: str, first_batch: int, runs: int) -> Block:
        started_s = self.elapsed_s()
        run_s = tuple(float(seconds) for seconds in self.sides[side](first_batch, runs))
        if len(run_s) != runs or not all(0 < seconds < math.inf for seconds in run_s):
            cause = f"timing: {runs} run times above 0 s were asked of the {side}, got {run_s[:5]}"
            raise WorkerFailure(cause, fatal=False)
        block = Block(side, phase, started_s, run_s)
        self.blocks.append(block)
        return block


def _warm_up(recorder: _Recorder, rules: TimingRules) -> tuple[dict[str, int], bool]:
    """Runs per timed block for each side, and whether the warm-up's block medians settled."""
    longer_ms = min(_WARMUP_BLOCKS * rules.min_block_ms, _WARMUP_BLOCK_MS)
    block_ms = max(rules.min_block_ms, longer_ms)
    runs = {BASELINE: 1, CANDIDATE: 1}
    medians: dict[str, list[float]] = {BASELINE: [], CANDIDATE: []}
    first_batch = 0
    while True:
        for side, history in medians.items():
            block = recorder.run(side, "warmup", first_batch, runs[side])
            history.append(seconds(block))
        first_batch += max(runs.values())
        run_s = {side: history[-1] for side, history in medians.items()}
        wanted = _enough(run_s, block_ms)
        ended = recorder.elapsed_s() > _WARMUP_SHARE * rules.max_seconds
        if any(runs[side] < wanted[side] for side in runs):
            # The first runs trace and compile: they say little, so the number grows in steps.
            most = _CALIBRATION_GROWTH * max(runs.values())
            runs = {side: max(runs[side], min(wanted[side], most)) for side in runs}
        elif all(_has_settled(history) for history in medians.values()):
            return _enough(run_s, rules.min_block_ms), True
        if ended:
            return _enough(run_s, rules.min_block_ms), False


def _enough(run_s: Mapping[str, float], block_ms: float) -> dict[str, int]:
    """Runs of a block of at least ``block_ms``: the same number for both sides.

    A side that is more than _SAME_RUNS_UP_TO times slower gets fewer, or its blocks would take up
    the whole time limit.

    Args:
        run_s: seconds of one run, for each side.
        block_ms: the shortest block.
    """
    fastest_s = min(run_s.values())
    common = max(
        math.ceil(_CALIBRATION_MARGIN * block_ms / 1000 / fastest_s),
        _LEAST_RUNS if fastest_s < _LONG_RUN_S else 1,
    )
    longest_s = _SAME_RUNS_UP_TO * common * fastest_s
    return {side: min(common, max(1, int(longest_s / run_s[side]))) for side in run_s}


def _has_settled(medians: Sequence[float]) -> bool:
    if len(medians) < _SETTLED_BLOCKS:
        return False
    last = medians[-_SETTLED_BLOCKS:]
    half = _SETTLED_BLOCKS // 2
    within = max(last) <= min(last) * (1 + _SETTLED_SPREAD)
    return within or sum(last[half:]) >= sum(last[:half]) * (1 - _SETTLED_FALL)


@dataclass
class _Groups:
    """The timed groups of blocks, and what repeating some of them took."""

    recorder: _Recorder
    runs: dict[str, int]
    max_seconds: float
    log_ratios: list[float] = field(default_factory=list)
    repeats: int = 0
    last_s: float = 0.0

    def add(self) -> None:
        """Times one group; repeats it while it drifts and repeats and time are left."""
        blocks = self._time()
        while move(blocks[0], blocks[3]) > _DRIFT and self._may_repeat():
            self.repeats += 1
            kept = self.recorder.blocks
            kept[-4:] = [replace(block, phase="repeated") for block in kept[-4:]]
            blocks = self._time()
        self.log_ratios += _pairs(blocks)

    def _may_repeat(self) -> bool:
        kept = len(self.log_ratios) // 2
        most = min(_MAX_REPEATS, 1 + kept // _GROUPS_PER_REPEAT)
        return self.repeats < most and self.in_time()

    def in_time(self) -> bool:
        """Whether one more group fits into the time limit, if it takes as long as the last."""
        return self.recorder.elapsed_s() + self.last_s <= self.max_seconds

    def _time(self) -> list[Block]:
        began_s = self.recorder.elapsed_s()
        step = max(self.runs.values())
        first = len(self.log_ratios) * step
        starts = (first, first, first + step, first + step)
        blocks = [
            self.recorder.run(side, "timed", start, self.runs[side])
            for side, start in zip(_order(len(self.log_ratios) // 2), starts)
        ]
        self.last_s = self.recorder.elapsed_s() - began_s
        return blocks

    def speedup(self) -> Interval:
        """The speed-up over all pairs so far."""
        return _speedup(self.log_ratios)


def _measure(groups: _Groups, rules: TimingRules, dominated_below: float | None) -> str:
    """Adds groups until there is a reason to stop; returns the reason."""
    look_at = 0
    while True:
        groups.add()
        pairs = len(groups.log_ratios)
        if pairs >= look_at:
            look_at = math.ceil(pairs * _LOOK_GROWTH)
            speedup = groups.speedup()
            if dominated_below is not None and speedup.high < dominated_below:
                return "dominated"
            if pairs >= MIN_PAIRS and _half_width(speedup) < rules.ci_half_width:
                return "narrow"
        if not groups.in_time():
            return "time"


def timing_of(
    blocks: Sequence[Block],
    *,
    percentiles: Sequence[float],
    stop_reason: str,
    notices: tuple[str, ...],
    batch_size: int,
) -> Timing:
    """What blocks say that :func:`time_pair` has run, here or elsewhere.

    Args:
        blocks: every block, in the order in which they ran.
        percentiles: of the latency of single runs, 0 to 100.
        stop_reason: why it ended.
        notices: what a reader must know.
        batch_size: samples per run, for the throughput.

    Raises:
        ValueError: the timed blocks are not whole groups of A B B A and B A A B in turn, or times
            are impossible.
    """
    ratios = _log_ratios(blocks)
    figures = run_figures(blocks, percentiles, batch_size)
    return Timing(
        speedup=_speedup(ratios),
        stop_reason=stop_reason,
        blocks=tuple(blocks),
        latency_ms=figures.latency_ms,
        runs=figures.runs,
        throughput=figures.throughput,
        drift=of_blocks.drift(blocks),
        notices=notices,
    )


def _log_ratios(blocks: Sequence[Block]) -> list[float]:
    """Of each pair, in order."""
    timed = [block for block in blocks if block.phase == "timed"]
    groups = [timed[first : first + 4] for first in range(0, len(timed), 4)]
    orders = [tuple(block.side for block in group) for group in groups]
    if not groups or orders != [_order(number) for number in range(len(groups))]:
        raise ValueError("the timed blocks are not whole groups of A B B A and B A A B in turn")
    if not all(block.run_s and all(0 < s < math.inf for s in block.run_s) for block in blocks):
        raise ValueError("a block has no run times above 0 s")
    return [ratio for group in groups for ratio in _pairs(group)]


def _order(number: int) -> tuple[str, ...]:
    """The sides of the blocks of the group of that number, from 0."""
    return _ORDERS[number % len(_ORDERS)]


def _pairs(group: Sequence[Block]) -> list[float]:
    """The log ratios of a group's two pairs: the baseline's time over the candidate's."""
    outer_is_baseline = group[0].side == BASELINE
    pairs = ((group[0], group[1]), (group[3], group[2]))
    ratios = (math.log(seconds(outer) / seconds(inner)) for outer, inner in pairs)
    return [ratio if outer_is_baseline else -ratio for ratio in ratios]


def _speedup(log_ratios: Sequence[float]) -> Interval:
    log = stats.median_interval(np.asarray(log_ratios))
    return Interval(math.exp(log.value), math.exp(log.low), math.exp(log.high))


def _notices(
    groups: _Groups, speedup: Interval, reason: str, drift: float, *, settled: bool
) -> tuple[str, ...]:
    notices = []
    if not settled:
        notices.append("the warm-up ended before block times had settled")
    if groups.repeats or drift > _DRIFT:
        notices.append(
            f"times are drifting or noisy: the baseline moved by up to {drift:.1%} between "
            f"neighbouring blocks, and {groups.repeats} groups were repeated"
        )
    pairs = len(groups.log_ratios)
    if pairs < stats.MIN_VALUES:
        notices.append(f"only {pairs} pairs of blocks: the interval supposes normal noise")
    if reason == "time" and _half_width(speedup) > RESOLVES:
        notices.append(
            f"too noisy to resolve 1 %: after {groups.recorder.elapsed_s():.1f} s and {pairs} "
            f"pairs of blocks the speed-up is known to {_half_width(speedup):.1%}"
        )
    return tuple(notices)


def _half_width(speedup: Interval) -> float:
    """Half of the interval, relative (on the log scale)."""
    return math.log(speedup.high / speedup.low) / 2
