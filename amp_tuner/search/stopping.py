"""When another measurement is certainly not worth its time."""

from __future__ import annotations

from collections.abc import Sequence

#: A search is over when so many proposals in a row hoped for less than this share of what is
#: reached: all of them together for less than the 1 % that a stop may cost. What is hoped for is
#: what the model expects if it is half as certain as it says.
CALM = 8
NEGLIGIBLE = 0.001


def most_hoped(hopes: Sequence[float]) -> float | None:
    """The largest of the newest hopes, if they are so small that a search is over; else None.

    Args:
        hopes: of each measured proposal, what sampler ``amp`` hoped for (``Prediction.hope``),
            oldest first.
    """
    newest = hopes[-CALM:]
    if len(newest) < CALM or max(newest) >= NEGLIGIBLE:
        return None
    return max(newest)
