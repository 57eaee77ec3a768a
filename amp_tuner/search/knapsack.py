"""The settings that would be best if time and error were sums over op types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def best_sets(time: Array, error: Array) -> Iterator[NDArray[np.bool_]]:
    """Sets of op types in 16 bits, from the most accurate to the fastest.

    They are the corners of the front of all sets: what makes a run faster and the error no larger
    is in all of them, and the rest is added in the order of time saved for error caused (Dantzig's
    rule for the knapsack problem).

    Args:
        time: what each op type in 16 bits adds to it; shape (op types,).
        error: the same.

    Yields:
        Which are in the set; shape (op types,).
    """
    chosen = (time < 0) & (error <= 0)
    yield chosen.copy()
    costs = np.flatnonzero((time < 0) & (error > 0))
    for place in costs[np.argsort(time[costs] / error[costs], kind="stable")].tolist():
        chosen[place] = True
        yield chosen.copy()
