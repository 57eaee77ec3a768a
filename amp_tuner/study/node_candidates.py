"""Settings that keep some of a list setting's 16-bit nodes in FP32."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from amp_tuner.amp.lists import is_node
from amp_tuner.records import Setting
from amp_tuner.search.setting_apart import kept_within, subjects
from amp_tuner.study.node_graphs import NodeGraph

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Shares of a list setting's squared error that are left to what stays 16-bit.
_LEVELS = (0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001)
#: So many nodes or scopes of each kind are set apart, or taken back, alone.
_PROBES = 12
#: With more moves of nodes than this, a setting is not one that people deploy.
_MOST_MOVES = 16


@dataclass(frozen=True)
class Base:
    """A list setting.

    Attributes:
        setting: without moves of nodes.
        painted: its 16-bit nodes; bool, shape (nodes,).
        members: those of the front's settings that were made of it, itself included.
    """

    setting: Setting
    painted: Mask = field(repr=False)
    members: tuple[Mask, ...] = field(repr=False, default=())


def kept_nodes(
    base: Base, graph: NodeGraph, saving: Array, error: Array, random: np.random.Generator
) -> list[Mask]:
    """Sets of a base's nodes to be left in 16 bits: knapsacks and probes in turn, in random order.

    Args:
        base: the list setting.
        graph: its graph.
        saving: of time, by each node in 16 bits, as the model has it now; shape (nodes,).
        error: that each adds, squared; shape (nodes,).
        random: the only source of chance.
    """
    seeds: list[Mask] = []
    probes: list[Mask] = []
    for units in graph.partitions:
        # What is not 16-bit anyway neither saves nor costs anything.
        savings, errors = (_summed(values * base.painted, units) for values in (saving, error))
        total = float(np.maximum(errors, 0.0).sum())
        knapsacks = (kept_within(savings, errors, level * total) for level in _LEVELS)
        seeds += [kept[units] & base.painted for kept in knapsacks]
        worst = np.argsort(-errors, kind="stable")[:_PROBES].tolist()
        masks = [(units == unit) & base.painted for unit in worst]
        probes += [_other(member, mask) for mask in masks for member in base.members]
    shuffled = [[those[n] for n in random.permutation(len(those))] for those in (seeds, probes)]
    return [kept for pair in zip_longest(*shuffled) for kept in pair if kept is not None]


def _summed(values: Array, units: NDArray[np.int64]) -> Array:
    found: Array = np.bincount(units, values).astype(np.float64)
    return found


def _other(member: Mask, unit: Mask) -> Mask:
    """The same without a unit, or with it where it is apart."""
    return member & ~unit if (member & unit).any() else member | unit


def setting_of(base: Base, graph: NodeGraph, kept: Mask) -> Setting | None:
    """The base with its other nodes set apart; None where that takes none or too many moves."""
    painted = [graph.names[node] for node in np.flatnonzero(base.painted).tolist()]
    apart = [graph.names[node] for node in np.flatnonzero(base.painted & ~kept).tolist()]
    moved = list(subjects(apart, painted))
    if not 0 < len(moved) <= _MOST_MOVES or not all(map(is_node, moved)):
        return None
    moves = {**base.setting.moves, **dict.fromkeys(moved, "none")}
    return replace(base.setting, moves=moves)
