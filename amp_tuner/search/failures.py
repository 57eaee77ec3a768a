"""Which op types make settings fail, by which failed together and which ran.

Suspects are op types in 16 bits, and op types in one data type. A setting fails unless every
suspect in it lets it run, each with a chance of its own (a noisy OR). One run that ends well
clears, nearly, all suspects in it; a failure is blamed on those that nothing has cleared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: What is believed of a suspect of which nothing is known: failed so often in so many runs.
_FAILED, _RUNS = 0.002, 0.2
_ROUNDS = 12


def chances_of_failure(involved: NDArray[np.bool_], failed: NDArray[np.bool_]) -> Array:
    """Each suspect's chance to make a setting fail in which it is.

    Expectation maximisation: a failure is shared out in proportion to the chances, and a chance is
    what a suspect was blamed for, over its runs. As if one suspect made it fail: of two that were
    never apart, either may well be harmless, and is not avoided for ever.

    Args:
        involved: shape (settings, suspects).
        failed: shape (settings,).

    Returns:
        Shape (suspects,).
    """
    chances = np.full(involved.shape[1], _FAILED / _RUNS)
    if not failed.any():
        return chances
    runs = involved.sum(axis=0)
    blamable = involved[failed].astype(np.float64)
    for _ in range(_ROUNDS):
        blame = blamable * chances
        blame = (blame / np.maximum(blame.sum(axis=1, keepdims=True), 1e-12)).sum(axis=0)
        chances = np.minimum((blame + _FAILED) / (runs + _RUNS), 0.999)
    return chances


def runs_well(
    involved: NDArray[np.bool_], chances: Array, times: int | NDArray[np.int64] = 1
) -> Array:
    """The chance of each setting to run; shape (settings,).

    Args:
        involved: shape (settings, suspects).
        chances: of each suspect, to make a setting fail.
        times: that it must not, one after the other; also of each suspect.
    """
    found: Array = np.prod((1 - involved * chances) ** times, axis=1)
    return found
