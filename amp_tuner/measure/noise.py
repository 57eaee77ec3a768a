"""Whether a machine was quiet enough for the differences that a study wants to see."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from amp_tuner.records import Timing

#: A difference in speed below 1 % is none, so a timing should be at least so exact.
RESOLVES = 0.01


def half_width(timing: Timing) -> float:
    """Half of the speed-up's interval, relative (on the log scale)."""
    return math.log(timing.speedup.high / timing.speedup.low) / 2


def noise_sentence(timings: Iterable[Timing]) -> str | None:
    """A warning if many timings ran out of time before they could resolve 1 %; else None."""
    widths = [(one, half_width(one)) for one in timings]
    blurred = [width for one, width in widths if one.stop_reason == "time" and width > RESOLVES]
    if 2 * len(blurred) <= len(widths):
        return None
    return (
        f"this machine is too noisy to resolve 1 %: {len(blurred)} of {len(widths)} timings ended "
        f"with half an interval of {statistics.median(blurred):.1%} (median); a quieter machine "
        "or a longer measure.max_seconds gives more certain answers"
    )
