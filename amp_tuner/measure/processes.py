"""One setting, timed in several processes: the speed-up that a new process may expect.

A process keeps the memory that it was given, and a shared machine keeps its neighbours for minutes:
either moves a speed-up by percents, and no longer timing in the same process averages it out. So
each process counts as one observation, and the interval comes from how they differ (Kalibera and
Jones, "Rigorous Benchmarking in Reasonable Time", 2013, section 6: repetition is needed at the
highest level that varies).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t as student_t

from amp_tuner.measure.blocks import run_figures
from amp_tuner.measure.noise import RESOLVES, half_width
from amp_tuner.records import Block, Interval, Timing

_CONFIDENCE = 0.95


def in_another_process(
    known: Timing,
    fresh: Timing,
    *,
    percentiles: Sequence[float],
    batch_size: int,
    ci_half_width: float,
) -> Timing:
    """What is known of a setting, with its timing in one more process.

    Args:
        known: from one process or more.
        fresh: from one that none of ``known`` is from; timed, not modelled.
        percentiles: of the latency of single runs, 0 to 100.
        batch_size: samples per run.
        ci_half_width: a speed-up that is known to this share is ``narrow``; else time ended it.
    """
    processes = (*of_processes(known), fresh.speedup)
    blocks = (*known.blocks, *_later(fresh.blocks, _end_s(known.blocks)))
    figures = run_figures(blocks, percentiles, batch_size)
    both = replace(
        known,
        speedup=over_processes(processes),
        processes=processes,
        blocks=blocks,
        latency_ms=figures.latency_ms,
        runs=figures.runs,
        throughput=figures.throughput,
        drift=max(known.drift, fresh.drift),
    )
    width = half_width(both)
    return replace(
        both,
        stop_reason="narrow" if width < ci_half_width else "time",
        notices=() if width <= RESOLVES else (_blurred(processes, width),),
    )


def of_processes(timing: Timing) -> tuple[Interval, ...]:
    """The speed-up in each process that a timing is from."""
    return timing.processes or (timing.speedup,)


def over_processes(processes: Sequence[Interval]) -> Interval:
    """The speed-up over processes: the geometric mean with Student's 95 % interval.

    Each process's own interval is not looked at: what a short timing leaves open is part of how
    they differ.

    Args:
        processes: the speed-up in each, two or more.
    """
    logs = np.log([one.value for one in processes])
    quantile = student_t.ppf((1 + _CONFIDENCE) / 2, logs.size - 1)
    half = quantile * logs.std(ddof=1) / math.sqrt(logs.size)
    mean = float(logs.mean())
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def _blurred(processes: Sequence[Interval], width: float) -> str:
    values = [one.value for one in processes]
    return (
        f"in {len(values)} processes the speed-up was {min(values):.3f} to {max(values):.3f}, so "
        f"that of a new one is known to {width:.1%}"
    )


def _later(blocks: Sequence[Block], by_s: float) -> tuple[Block, ...]:
    """Blocks as they are shown after others."""
    return tuple(replace(block, started_s=block.started_s + by_s) for block in blocks)


def _end_s(blocks: Sequence[Block]) -> float:
    return max((block.started_s + sum(block.run_s) for block in blocks), default=0.0)
