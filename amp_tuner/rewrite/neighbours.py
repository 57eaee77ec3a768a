"""Who is next to whom, for every vertex of a graph.

Two forms: flat arrays, small however large the graph is; and rows, twice as fast to walk through
again, made where a walk comes by.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Union

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of vertex v are ``flat[starts[v]:starts[v + 1]]``."""

    starts: array[int]
    flat: array[int]

    def __getitem__(self, vertex: int) -> array[int]:
        return self.flat[self.starts[vertex] : self.starts[vertex + 1]]


class Rows(dict[int, tuple[int, ...]]):
    """The neighbours of each vertex as a tuple, kept from when it is first asked for.

    Args:
        directions: where they are found; one after the other.
    """

    def __init__(self, *directions: Neighbours) -> None:
        super().__init__()
        self._directions = directions

    def __missing__(self, vertex: int) -> tuple[int, ...]:
        row = self[vertex] = tuple(chain(*[direction[vertex] for direction in self._directions]))
        return row


#: What a flood can walk through.
Network = Union[Neighbours, Rows]


def distinct_pairs(
    source: NDArray[np.int64], target: NDArray[np.int64], vertices: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair of ends once, by rising target, then source; int64, shape (pairs,)."""
    # Edges come nearly in that order, which a stable sort makes use of; np.unique hashes instead.
    keys = np.sort(target * vertices + source, kind="stable")
    first = np.ones(keys.size, dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    # int64, not less: NumPy converts smaller indices each time that they are used.
    targets, sources = np.divmod(keys[first], max(vertices, 1))
    return sources, targets


def neighbours_of(at: NDArray[np.int64], there: NDArray[np.int64], vertices: int) -> Neighbours:
    """The neighbours ``there`` of the vertices ``at``.

    Args:
        at: one end of each pair, in any order; shape (pairs,).
        there: the other end; neighbours of one vertex keep the order that they have here.
        vertices: how many there are in all.
    """
    flat = there[np.argsort(at, kind="stable")]
    starts = np.zeros(vertices + 1, dtype=np.int32)
    np.cumsum(np.bincount(at, minlength=vertices), out=starts[1:])
    return Neighbours(array("i", starts.tobytes()), array("i", flat.astype(np.int32).tobytes()))
