"""Blocks of a timing, and what their single runs say of each side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amp_tuner.measure import stats
from amp_tuner.records import Block

BASELINE, CANDIDATE = "baseline", "candidate"


@dataclass(frozen=True)
class RunFigures:
    """Figures of single runs, by side.

    Attributes:
        latency_ms: percentile label (``p50``) to milliseconds, as far as the runs support it.
        runs: timed runs.
        throughput: samples per second.
    """

    latency_ms: dict[str, dict[str, float]]
    runs: dict[str, int]
    throughput: dict[str, float]


def run_figures(
    blocks: Sequence[Block], percentiles: Sequence[float], batch_size: int
) -> RunFigures:
    """What the timed blocks say of single runs.

    Args:
        blocks: of both sides, in any order.
        percentiles: of the latency, 0 to 100.
        batch_size: samples per run.
    """
    run_s = {
        side: np.concatenate([block.run_s for block in timed(blocks, side)])
        for side in (BASELINE, CANDIDATE)
    }
    return RunFigures(
        latency_ms={
            side: stats.percentiles(1000 * seconds, percentiles) for side, seconds in run_s.items()
        },
        runs={side: int(seconds.size) for side, seconds in run_s.items()},
        throughput={side: _per_second(seconds, batch_size) for side, seconds in run_s.items()},
    )


def timed(blocks: Sequence[Block], side: str) -> list[Block]:
    """One side's blocks that count: no warm-up, none that was repeated."""
    return [block for block in blocks if block.side == side and block.phase == "timed"]


def drift(blocks: Sequence[Block]) -> float:
    """The largest relative move of the baseline between neighbouring blocks."""
    baseline = timed(blocks, BASELINE)
    return max(move(one, other) for one, other in zip(baseline, baseline[1:]))


def seconds(block: Block) -> float:
    """A block's time: the median of its runs.

    Where other processes take the CPU away from single runs, the ratio of such medians scatters
    five to twenty times less than that of means. Both blocks of a pair hold the same batches. What
    rare slow runs cost is not hidden: throughput and the upper percentiles show it.
    """
    return statistics.median(block.run_s)


def move(one: Block, other: Block) -> float:
    """Relative move between two blocks of one side."""
    return abs(seconds(other) / seconds(one) - 1)


def _per_second(run_s: NDArray[np.float64], batch_size: int) -> float:
    return float(batch_size * run_s.size / run_s.sum())
