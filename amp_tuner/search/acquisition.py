"""What another measurement is worth: expected gain of hypervolume, in two dimensions.

Points are the logarithm of the time over FP32's, and the error; both are to be minimised. The
volume is what a study's objectives make it: speed-up times error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

#: exp() of more would overflow in a product.
_LARGEST = 300.0


def front_of(points: Array, reference: Array) -> Array:
    """The points below ``reference`` that no other beats, by rising first axis; shape (k, 2)."""
    inside = points[(points < reference).all(axis=1)]
    ordered = inside[np.lexsort((inside[:, 1], inside[:, 0]))]
    best = np.minimum.accumulate(ordered[:, 1]) if len(ordered) else ordered[:, 1]
    falls = np.ones(len(ordered), np.bool_)
    falls[1:] = ordered[1:, 1] < best[:-1]
    return ordered[falls]


def hypervolume(points: Array, reference: Array) -> float:
    """The area of speed-up times error that ``points`` (k, 2) beat, up to ``reference``."""
    front = front_of(points, reference)
    if not len(front):
        return 0.0
    speedups = np.exp(-np.append(front[:, 0], reference[0]))
    return float((-np.diff(speedups) * (reference[1] - front[:, 1])).sum())


def expected_gain(front: Array, reference: Array, mean: Array, deviation: Array) -> Array:
    """Expected growth of the hypervolume by one point.

    Its speed-up and its error are lognormal and independent. The area that is not beaten yet is
    cut into strips between neighbouring members; over each, the expectation is a product of two
    integrals of a distribution function (Emmerich, Deutz and Klinkenberg, Hypervolume-based
    expected improvement, CEC 2011).

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
    faster = _faster(edges, mean[:, :1], deviation[:, :1])
    widths = np.diff(faster, axis=1, prepend=0.0)
    depths = _more_accurate(heights, mean[:, 1:], deviation[:, 1:])
    gain: Array = (widths * depths).sum(axis=1)
    return gain


def _faster(edge: Array, mean: Array, deviation: Array) -> Array:
    """By how much the speed-up is expected to exceed that of the log time ``edge``."""
    away = (edge - mean) / deviation
    beyond = np.exp(np.minimum(-mean + 0.5 * deviation**2, _LARGEST)) * ndtr(away + deviation)
    found: Array = np.maximum(beyond - np.exp(-edge) * ndtr(away), 0.0)
    return found


def _more_accurate(height: Array, mean: Array, deviation: Array) -> Array:
    """By how much the error is expected to stay below ``height``, which is above 0."""
    away = (np.log(height) - mean) / deviation
    within = np.exp(np.minimum(mean + 0.5 * deviation**2, _LARGEST)) * ndtr(away - deviation)
    found: Array = np.maximum(height * ndtr(away) - within, 0.0)
    return found
