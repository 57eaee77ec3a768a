"""Errors that measured graphs set bounds to: more 16-bit work does not make a result more accurate.

A graph whose 16-bit work is part of a measured one's has no larger error, and one that contains a
measured one's has no smaller error. Errors may cancel out, though: by as much as measured graphs
are seen to break the rule, it is relaxed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from amp_tuner.search.looks import Look

Array = NDArray[np.float64]

#: Logarithms of errors closer than this are the same.
_SLACK = 0.03
#: A measured value is within so many standard deviations of the true one.
_SIDES = 2.0
#: Shares of work closer than this are the same.
_SAME = 1e-9
_ROOT_OF_2_PI = float(np.sqrt(2 * np.pi))


class Bounds:
    """Bounds of log errors.

    Args:
        looks: graphs that were measured.
        logs: the logarithms of their errors; shape (looks,).
        deviations: the noise of these; shape (looks,).
    """

    def __init__(self, looks: Sequence[Look], logs: Array, deviations: Array) -> None:
        self._looks = looks
        self._low, self._high = logs - _SIDES * deviations, logs + _SIDES * deviations
        self._slack = _SLACK
        if looks:
            broken = self._low[:, None] - self._high[None, :]
            within = _is_within(looks, looks)
            self._slack += float(np.where(within, broken, 0.0).max(initial=0.0))

    def within(self, looks: Sequence[Look], mean: Array, deviation: Array) -> tuple[Array, Array]:
        """Normal distributions cut off at the bounds.

        Args:
            looks: candidates.
            mean: of the logarithms of their errors; shape (looks,).
            deviation: the same.

        Returns:
            Mean and standard deviation of what is left.
        """
        if not self._looks or not looks:
            return mean, deviation
        most = np.where(_is_within(looks, self._looks), self._high, np.inf).min(axis=1)
        least = np.where(_is_within(self._looks, looks).T, self._low, -np.inf).max(axis=1)
        least, most = least - self._slack, most + self._slack
        return _cut_off(mean, deviation, least, np.maximum(most, least))


def _is_within(some: Sequence[Look], others: Sequence[Look]) -> NDArray[np.bool_]:
    """Whose 16-bit work is all in whose; shape (some, others)."""
    left, right = (
        np.array([np.append(one.painted, one.painted_nodes) for one in side])
        for side in (some, others)
    )
    types = [np.array([one.data_type for one in side]) for side in (some, others)]
    contained = np.all(left[:, None] <= right[None, :] + _SAME, axis=2)
    found: NDArray[np.bool_] = np.asarray(
        contained & (types[0][:, None] == types[1][None, :]), np.bool_
    )
    return found


def _cut_off(mean: Array, deviation: Array, least: Array, most: Array) -> tuple[Array, Array]:
    """Mean and deviation of truncated normal distributions; far tails count as the nearer bound."""
    low = np.clip((least - mean) / deviation, -8.0, 6.0)
    high = np.maximum(np.clip((most - mean) / deviation, -6.0, 8.0), low + 1e-3)
    inside = np.maximum(ndtr(high) - ndtr(low), 1e-12)
    densities = [np.exp(-(edge**2) / 2) / _ROOT_OF_2_PI for edge in (low, high)]
    shift = (densities[0] - densities[1]) / inside
    square = 1 + (low * densities[0] - high * densities[1]) / inside - shift**2
    centre = np.clip(mean + deviation * shift, least, most)
    return centre, deviation * np.sqrt(np.maximum(square, 1e-4))
