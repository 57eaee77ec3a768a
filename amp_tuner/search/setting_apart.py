"""Which nodes of a 16-bit graph to keep in FP32: sets of units, and how to write them down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from amp_tuner.amp.lists import NODE

Array = NDArray[np.float64]


def partitions(names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Ways of cutting a graph into units: by name scope, the outermost first, then node by node.

    Args:
        names: the nodes' names.

    Returns:
        Of each way, each node's unit, numbered from 0 up; shape (nodes,). Ways that cut nothing or
        as the one before are left out.
    """
    parts = [name.split("/") for name in names]
    deepest = max(map(len, parts), default=0)
    found: list[NDArray[np.int64]] = []
    for depth in range(1, deepest + 1):
        labels = ["/".join(part[:depth]) for part in parts]
        _, units = np.unique(labels, return_inverse=True)
        units = units.reshape(-1).astype(np.int64)
        if units.max(initial=0) > 0 and not (found and np.array_equal(found[-1], units)):
            found.append(units)
    return found


def kept_within(saving: Array, error: Array, capacity: float) -> NDArray[np.bool_]:
    """Which units to keep in 16 bits: a knapsack of savings that holds ``capacity`` of error.

    The greedy solution: by saving for each error, whatever still fits. It is at most one unit
    worse than the best (Dantzig, Discrete-variable extremum problems, 1957).

    Args:
        saving: of time, by each unit in 16 bits; units that save none are not kept; shape (units,).
        error: that each adds; negative counts as none; shape (units,).
        capacity: what all that are kept may add.
    """
    weight = np.maximum(error, 0.0)
    kept = np.zeros(len(saving), np.bool_)
    worth = np.divide(saving, weight, out=np.full(len(saving), np.inf), where=weight > 0)
    left = capacity
    for unit in np.lexsort((-saving, -worth)).tolist():
        if saving[unit] > 0 and weight[unit] <= left:
            kept[unit] = True
            left -= float(weight[unit])
    return kept


def subjects(apart: Collection[str], painted: Collection[str]) -> Iterator[str]:
    """The fewest subjects of moves that name all of ``apart`` and no other of ``painted``.

    A name scope (``node:encoder/layer_3/*``) stands for all of its painted nodes where each of
    them is apart.

    Args:
        apart: names of painted nodes.
        painted: names of all painted nodes.
    """
    chosen = set(apart)
    inside = Counter(scope for name in painted for scope in _scopes(name))
    apart_inside = Counter(scope for name in chosen for scope in _scopes(name))
    whole = {scope for scope, count in apart_inside.items() if 1 < count == inside[scope]}
    whole_scopes = {
        name: next((scope for scope in _scopes(name) if scope in whole), None) for name in chosen
    }
    yield from sorted(
        {
            f"{NODE}{name}" if scope is None else f"{NODE}{scope}/*"
            for name, scope in whole_scopes.items()
        }
    )


def _scopes(name: str) -> list[str]:
    """The scopes that a node is in, the outermost first."""
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
