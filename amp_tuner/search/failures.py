"""Which op types make settings fail, by which failed together and which ran.

A setting fails unless every op type that is 16-bit in it lets it run, each with a chance of its own
(a noisy OR). One run that ends well clears, nearly, all op types in it; a failure is blamed on
those that nothing has cleared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: What is believed of an op type of which nothing is known: failed so often in so many runs.
_FAILED, _RUNS = 0.004, 0.2
_ROUNDS = 12


def chances_of_failure(is_16bit: NDArray[np.bool_], failed: NDArray[np.bool_]) -> Array:
    """Each op type's chance to make a setting fail in which it is 16-bit.

    Expectation maximisation: a failure is shared out in proportion to the chances, and a chance is
    what an op type was blamed for, over its runs.

    Args:
        is_16bit: shape (settings, op types).
        failed: shape (settings,).

    Returns:
        Shape (op types,).
    """
    op_types = is_16bit.shape[1]
    chances = np.full(op_types, _FAILED / _RUNS)
    if not failed.any():
        return chances
    runs = is_16bit.sum(axis=0)
    involved = is_16bit[failed].astype(np.float64)
    for _ in range(_ROUNDS):
        fails = np.maximum(1 - np.prod(1 - involved * chances, axis=1), 1e-12)
        blame = (involved * chances / fails[:, None]).sum(axis=0)
        chances = np.minimum((blame + _FAILED) / (runs + _RUNS), 0.999)
    return chances


def runs_well(is_16bit: NDArray[np.bool_], chances: Array) -> Array:
    """The chance of each setting to run; shape (settings,)."""
    found: Array = np.prod(1 - is_16bit * chances, axis=1)
    return found
