"""Which painted graphs are alike, and in what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from amp_tuner.search.looks import Look, Viewer

Array = NDArray[np.float64]

PARTS = tuple(range(7))
#: Parts 2 to 4: what an op type's own work does.
WORK = (1, 2, 3)
#: How alike the slopes of all work, and the remainders, of two data types are.
_ACROSS_TYPES = 0.5
#: An op type that does hardly any of the work may still matter: the smallest prior of a weight,
#: against the largest possible one.
_LEAST = 0.1


@dataclass(frozen=True)
class Prior:
    """What is known of a target before anything is measured.

    Attributes:
        emphasis: of each op type, by what the spread of its weights is multiplied.
        work: what all of each op type's work is expected to add in 16 bits; shape (op types,).
        casts: what Casts of all tensors are expected to add; shape (4,).
    """

    emphasis: Array | float = 1.0
    work: Array | float = 0.0
    casts: Array | float = 0.0


@dataclass(frozen=True)
class Design:
    """Looks as rows of numbers, scaled so that a weight's prior is the same for every column.

    Attributes:
        painted, borders: shape (looks, op types).
        casts: shape (looks, 4).
        whole: the share of all work that is 16-bit; shape (looks,).
        data_type: its number; shape (looks,).
        expected: what the prior expects; shape (looks,).
    """

    painted: Array = field(repr=False)
    borders: Array = field(repr=False)
    casts: Array = field(repr=False)
    whole: Array = field(repr=False)
    data_type: NDArray[np.int64] = field(repr=False)
    expected: Array = field(repr=False)

    @classmethod
    def of(
        cls,
        looks: Sequence[Look],
        viewer: Viewer,
        data_types: Sequence[str],
        prior: Prior | None = None,
        *,
        by_nodes: bool = False,
    ) -> Design:
        """The rows of ``looks``.

        Args:
            looks: the graphs.
            viewer: what they are looks of.
            data_types: those that have a number, in its order.
            prior: of the target; None: nothing is known.
            by_nodes: an op type's nodes count alike, whatever their work.
        """
        prior = prior or Prior()
        share = (viewer.weight + viewer.nodes) / 2
        scale = prior.emphasis * (_LEAST + np.sqrt(share))
        size = len(viewer.op_types)
        painted = np.array([look.share(by_nodes=by_nodes) for look in looks]).reshape(-1, size)
        casts = np.array([look.casts for look in looks]).reshape(-1, 4)
        number = {name: place for place, name in enumerate(data_types)}
        return cls(
            painted * scale,
            np.array([look.borders for look in looks]).reshape(-1, size) * scale,
            casts,
            painted @ share,
            np.array([number.get(look.data_type, -1) for look in looks], np.int64),
            (painted * prior.work).sum(axis=1) + (casts * prior.casts).sum(axis=1),
        )

    def with_float32(self) -> Design:
        """One row more, the last: nothing is 16-bit."""
        nothing, none = np.zeros((1, self.painted.shape[1])), np.zeros(1)
        casts = np.zeros((1, self.casts.shape[1]))
        return self.with_rows(Design(nothing, nothing, casts, none, np.array([-1]), none))

    def with_rows(self, other: Design) -> Design:
        """These rows and others behind them."""
        names = [one.name for one in fields(self)]
        return Design(*(np.concatenate((getattr(self, n), getattr(other, n))) for n in names))

    def __len__(self) -> int:
        return len(self.data_type)

    @property
    def extent(self) -> Array:
        """What is 16-bit, as far as it may behave unexpectedly; shape (looks,)."""
        found: Array = np.sqrt((self.painted**2).sum(axis=1))
        return found


def distances(one: Design, other: Design) -> Array:
    """Between 16-bit work and places of casts; shape (rows of one, rows of other)."""
    left, right = (np.hstack((side.painted, side.borders)) for side in (one, other))
    found: Array = cdist(left, right, "cityblock")
    return found


def kernels(one: Design, other: Design, length: float) -> Array:
    """The parts' kernels for amplitudes of 1; shape (7, rows of one, rows of other)."""
    same = one.data_type[:, None] == other.data_type[None, :]
    alike = np.where(same, 1.0, _ACROSS_TYPES)
    work = one.painted @ other.painted.T
    remainder = np.exp(-distances(one, other) / length) * np.outer(one.extent, other.extent)
    return np.array(
        [
            np.ones_like(work),
            work,
            work * same,
            np.outer(one.whole, other.whole) * alike,
            one.casts @ other.casts.T,
            one.borders @ other.borders.T,
            remainder * alike,
        ]
    )


def diagonal(one: Design, other: Design, length: float) -> Array:
    """Kernels of rows with the same number; shape (7, rows)."""
    same = one.data_type == other.data_type
    alike = np.where(same, 1.0, _ACROSS_TYPES)
    work = (one.painted * other.painted).sum(axis=1)
    apart = np.abs(one.painted - other.painted).sum(axis=1)
    apart += np.abs(one.borders - other.borders).sum(axis=1)
    return np.array(
        [
            np.ones_like(work),
            work,
            work * same,
            one.whole * other.whole * alike,
            (one.casts * other.casts).sum(axis=1),
            (one.borders * other.borders).sum(axis=1),
            np.exp(-apart / length) * alike * one.extent * other.extent,
        ]
    )
