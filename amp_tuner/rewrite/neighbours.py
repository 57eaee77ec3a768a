"""Who is next to whom, for every vertex of a graph.

Two forms: flat arrays, small however large the graph is; and rows, twice as fast to walk through.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The neighbours of each vertex, as tuples.
Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of vertex v are ``flat[starts[v]:starts[v + 1]]``, in rising order."""

    starts: array[int]
    flat: array[int]

    def __getitem__(self, vertex: int) -> array[int]:
        return self.flat[self.starts[vertex] : self.starts[vertex + 1]]

    def rows(self) -> Rows:
        """The same as tuples."""
        flat, starts = self.flat.tolist(), self.starts.tolist()
        return tuple(
            tuple(flat[start:end]) if end > start else () for start, end in zip(starts, starts[1:])
        )


#: What a flood can walk through.
Network = Union[Neighbours, Rows]


def distinct_pairs(
    source: NDArray[np.int64], target: NDArray[np.int64], vertices: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair of ends once, by rising source, then target; int64, shape (pairs,)."""
    # int64, not less: NumPy converts smaller indices each time that they are used.
    return np.divmod(np.unique(source * vertices + target), max(vertices, 1))


def neighbours_of(at: NDArray[np.int64], there: NDArray[np.int64], vertices: int) -> Neighbours:
    """The neighbours ``there`` of the vertices ``at``.

    Args:
        at: one end of each pair, in any order; shape (pairs,).
        there: the other end.
        vertices: how many there are in all.
    """
    flat = there[np.lexsort((there, at))]
    starts = np.zeros(vertices + 1, dtype=np.int32)
    np.cumsum(np.bincount(at, minlength=vertices), out=starts[1:])
    return Neighbours(array("i", starts.tobytes()), array("i", flat.astype(np.int32).tobytes()))
