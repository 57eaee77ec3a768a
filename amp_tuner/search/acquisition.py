"""What another measurement is worth: expected gain of hypervolume, in two dimensions.

Both axes are to be minimised: the logarithm of the time, and the error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

_ROOT_OF_2_PI = float(np.sqrt(2 * np.pi))


def front_of(points: Array, reference: Array) -> Array:
    """The points below ``reference`` that no other beats, by rising first axis; shape (k, 2)."""
    inside = points[(points < reference).all(axis=1)]
    ordered = inside[np.lexsort((inside[:, 1], inside[:, 0]))]
    best = np.minimum.accumulate(ordered[:, 1]) if len(ordered) else ordered[:, 1]
    falls = np.ones(len(ordered), np.bool_)
    falls[1:] = ordered[1:, 1] < best[:-1]
    return ordered[falls]


def hypervolume(points: Array, reference: Array) -> float:
    """The area that ``points`` (k, 2) beat, up to ``reference``."""
    front = front_of(points, reference)
    if not len(front):
        return 0.0
    widths = np.diff(front[:, 0], append=reference[0])
    return float((widths * (reference[1] - front[:, 1])).sum())


def expected_gain(front: Array, reference: Array, mean: Array, deviation: Array) -> Array:
    """Expected growth of the hypervolume by one point.

    The logarithm of its time is normal, its error lognormal, and they are independent. The area
    that is not beaten yet is cut into strips between neighbouring members; over each, the
    expectation is a product of two integrals of a distribution function (Emmerich, Deutz and
    Klinkenberg, Hypervolume-based expected improvement, CEC 2011).

    Args:
        front: as :func:`front_of` gives it; shape (k, 2).
        reference: shape (2,).
        mean: of each candidate's log time and log error; shape (n, 2).
        deviation: the same; above 0.

    Returns:
        Shape (n,).
    """
    edges = np.concatenate((front[:, 0], [reference[0]]))
    heights = np.concatenate(([reference[1]], front[:, 1]))
    below = _below_normal(edges, mean[:, :1], deviation[:, :1])
    widths = np.diff(below, axis=1, prepend=0.0)
    depths = _below_lognormal(heights, mean[:, 1:], deviation[:, 1:])
    gain: Array = (widths * depths).sum(axis=1)
    return gain


def _below_normal(limit: Array, mean: Array, deviation: Array) -> Array:
    """The integral of the normal distribution function up to ``limit``."""
    away = (limit - mean) / deviation
    density = np.exp(-0.5 * away**2) / _ROOT_OF_2_PI
    found: Array = deviation * (away * ndtr(away) + density)
    return found


def _below_lognormal(limit: Array, mean: Array, deviation: Array) -> Array:
    """The integral of the lognormal distribution function from 0 up to ``limit``, above 0."""
    away = (np.log(limit) - mean) / deviation
    # E(max(limit - error, 0)); exp() of what is far above the limit would overflow.
    within = np.exp(np.minimum(mean + 0.5 * deviation**2, 300.0)) * ndtr(away - deviation)
    found: Array = np.maximum(limit * ndtr(away) - within, 0.0)
    return found
