"""One paired timing, seen from its other side or as one side alone."""

from __future__ import annotations

from dataclasses import replace

from amp_tuner.records import Interval, Timing


def turned(timing: Timing) -> Timing:
    """The same measurement seen from the other side."""
    sides = {"baseline": "candidate", "candidate": "baseline"}
    return replace(
        timing,
        speedup=timing.speedup.inverse(),
        blocks=tuple(replace(block, side=sides[block.side]) for block in timing.blocks),
        latency_ms={sides[side]: value for side, value in timing.latency_ms.items()},
        runs={sides[side]: value for side, value in timing.runs.items()},
        throughput={sides[side]: value for side, value in timing.throughput.items()},
    )


def against_itself(timing: Timing, *, candidate: bool) -> Timing:
    """The baseline against itself: ratio 1 by definition, one side's latencies."""
    seen = timing if not candidate else turned(timing)
    return replace(
        seen,
        speedup=Interval(1.0, 1.0, 1.0),
        blocks=(),
        latency_ms=dict.fromkeys(seen.latency_ms, seen.latency_ms["baseline"]),
        runs=dict.fromkeys(seen.runs, seen.runs["baseline"]),
        throughput=dict.fromkeys(seen.throughput, seen.throughput["baseline"]),
    )
