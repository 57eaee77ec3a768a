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

_CONFIDENCE, _LOOKED_AT = 0.95, 0.99


def in_another_process(
    known: Timing,
    fresh: Timing,
    *,
    percentiles: Sequence[float],
    batch_size: int,
    ci_half_width: float,
    planned: int,
) -> Timing:
    """What is known of a setting, with its timing in one more process.

    Args:
        known: from one process or more.
        fresh: from one that none of ``known`` is from; timed, not modelled.
        percentiles: of the latency of single runs, 0 to 100.
        batch_size: samples per run.
        ci_half_width: a speed-up that is known to this share is ``narrow``; else time ended it.
        planned: beyond so many processes, what they gave decided whether there is one more.
    """
    processes = (*of_processes(known), fresh.speedup)
    blocks = (*known.blocks, *_later(fresh.blocks, _end_s(known.blocks)))
    figures = run_figures(blocks, percentiles, batch_size)
    both = replace(
        known,
        speedup=over_processes(processes, looked_at=len(processes) > planned),
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


def over_processes(processes: Sequence[Interval], *, looked_at: bool = False) -> Interval:
    """The speed-up over processes: the geometric mean with Student's 95 % interval.

    Each process's own interval is not looked at: what a short timing leaves open is part of how
    they differ.

    Args:
        processes: the speed-up in each, two or more.
        looked_at: after each it was asked whether they are enough. Then the interval is one of
            99 %, of which 97 to 98 % are left when it ends (simulated, up to 60 processes); looks
            at 95 % would leave 89 to 94 %, and call up to a quarter of equal settings different.
    """
    logs = np.log([one.value for one in processes])
    confidence = _LOOKED_AT if looked_at else _CONFIDENCE
    quantile = student_t.ppf((1 + confidence) / 2, logs.size - 1)
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
