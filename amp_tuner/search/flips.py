"""Which op types of a candidate to turn over, as sums have it, before anything is painted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Flip(NamedTuple):
    """One or two op types that change sides.

    Attributes:
        value: what is expected of the result.
        changed: places of the op types, and whether they become 16-bit.
    """

    value: float
    changed: tuple[tuple[int, bool], ...]


def best_flips(
    painted: Array,
    added: Array,
    value: Callable[[Array], Array],
    most: int,
) -> list[Flip]:
    """The best results of turning over one op type or two, best first.

    An op type that is mostly 16-bit leaves 16 bits altogether; another one's work becomes 16-bit.
    Casts and neighbours that follow are left to the painting.

    Args:
        painted: of each op type the share of its work that is 16-bit; shape (op types,).
        added: what all of each op type's work adds to time and error; shape (2, op types).
        value: what results are worth, by what was added to time and error; from shape (2, n) to
            shape (n,).
        most: so many at most.
    """
    becomes = painted <= 0.5
    change = added * (becomes - painted)
    one, other = np.triu_indices(len(painted))
    values = value(change[:, one] + np.where(one == other, 0.0, change[:, other]))
    found = []
    for place in np.argsort(-values, kind="stable")[:most].tolist():
        pair = dict.fromkeys((int(one[place]), int(other[place])))
        changed = tuple((side, bool(becomes[side])) for side in pair)
        found.append(Flip(float(values[place]), changed))
    return found
