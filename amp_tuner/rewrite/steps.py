"""The steps of painting, in the real passes' order.

The rules are those of TensorFlow's ``core/grappler/optimizers/auto_mixed_precision.cc`` and ITEX's
``core/graph/auto_mixed_precision``; where the two differ, a rule set's flags say how.

Each step is a function over a prepared graph that changes :class:`Colours`; ORDER lists them. A
colour is the number of the step that painted the vertex (its place in ORDER, from 1), so that an
explanation costs nothing; 0 is no colour.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

import numpy as np

from amp_tuner.errors import RewriteError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.rewrite.neighbours import Network
    from amp_tuner.rewrite.prepare import PreparedGraph


@dataclass(frozen=True)
class VertexLists:
    """Which list holds the op type of each vertex's node; bool arrays of shape (vertices,)."""

    allow: NDArray[np.bool_]
    deny: NDArray[np.bool_]
    infer: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    force_all: bool


class Colours:
    """The sets ``allow`` and ``deny`` while they are painted.

    Attributes:
        lists: the list of each vertex.
        allow, deny: per vertex the step that painted it, 0 for none; bytes for single look-ups.
        allow_array, deny_array: the same memory as uint8 arrays, shape (vertices,).
        removed: vertices that a step took out of ``allow``, with that step.
    """

    def __init__(self, lists: VertexLists) -> None:
        vertices = lists.allow.size
        self.lists = lists
        self.allow = bytearray(vertices)
        self.deny = bytearray(vertices)
        self.allow_array: NDArray[np.uint8] = np.frombuffer(self.allow, dtype=np.uint8)
        self.deny_array: NDArray[np.uint8] = np.frombuffer(self.deny, dtype=np.uint8)
        self.removed: dict[int, int] = {}

    def remove(self, vertex: int, step: int) -> None:
        """Takes ``vertex`` out of ``allow``."""
        if self.allow[vertex]:
            self.allow[vertex] = 0
            self.removed[vertex] = step


Step = Callable[["PreparedGraph", Colours, int], None]


def flood(roots: Iterable[int], neighbours: Network, enterable: bytearray) -> list[int]:
    """The roots and all that is reached from them through enterable vertices.

    ``enterable`` (1 where a vertex may be entered) is used up: entered vertices become 0.
    """
    reached = list(roots)
    for vertex in reached:
        enterable[vertex] = 0
    for vertex in reached:
        for neighbour in neighbours[vertex]:
            if enterable[neighbour]:
                enterable[neighbour] = 0
                reached.append(neighbour)
    return reached


def entered(
    roots: Iterable[int], neighbours: Network, may_enter: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of the vertices that may be entered are reached from ``roots`` through such ones.

    Returns:
        Bool array of shape (vertices,); roots are in it if they may be entered.
    """
    left = _enterable(may_enter)
    flood(roots, neighbours, left)
    found: NDArray[np.bool_] = may_enter & np.logical_not(np.frombuffer(left, dtype=np.uint8))
    return found


def _where(mask: NDArray[np.bool_]) -> list[int]:
    # Not flatnonzero: it flattens first, which takes longer than the search.
    found: list[int] = mask.nonzero()[0].tolist()
    return found


def _enterable(mask: NDArray[np.bool_]) -> bytearray:
    return bytearray(mask.tobytes())


def deny_escaping_tensor_lists(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """T: lists that leave the graph, or that a node touches which may not be converted."""
    for vertex in graph.tensor_lists.unsafe:
        colours.deny[vertex] = step


def allow_the_allow_list(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """1: every type attribute of processable ALLOW ops; with force, of all that may be forced."""
    chosen = (
        colours.lists.allow | graph.forceable if colours.lists.force_all else colours.lists.allow
    )
    colours.allow_array[chosen & graph.processable] = step


def deny_forward(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """2: from DENY ops through INFER, and through CLEAR that leads to INFER or DENY.

    The flood may enter U: vertices of DENY and INFER ops, and CLEAR vertices from which CLEAR
    alone leads to one of those. U is only worked out where DENY reaches at all.
    """
    if colours.lists.force_all:
        return
    roots = _where(colours.lists.deny)
    if not roots:
        return
    ends = colours.lists.deny | colours.lists.infer
    downstream = flood(roots, graph.fanout, _enterable(ends | colours.lists.clear))
    reached = np.zeros(graph.vertices, dtype=np.bool_)
    reached[downstream] = True
    may_enter = np.zeros(graph.vertices, dtype=np.bool_)
    may_enter[
        flood(_where(ends & reached), graph.fanin, _enterable(colours.lists.clear & reached))
    ] = True
    undenied = np.logical_not(colours.deny_array)
    entered = flood(
        _where(colours.lists.deny & undenied), graph.fanout, _enterable(may_enter & undenied)
    )
    colours.deny_array[entered] = step


def match_tensor_lists(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """T2 and T3: one colour for all ops that share a list; deny wins over allow."""
    for cluster in graph.tensor_lists.clusters:
        if any(colours.deny[vertex] for vertex in cluster):
            for vertex in cluster:
                colours.remove(vertex, step)
                colours.deny[vertex] = colours.deny[vertex] or step
        elif any(colours.allow[vertex] for vertex in cluster):
            for vertex in cluster:
                colours.allow[vertex] = colours.allow[vertex] or step


def allow_between(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """3: CLEAR and INFER that are both downstream and upstream of ALLOW ops, any distance."""
    roots = colours.lists.allow & graph.processable
    start = _where(roots)
    may_enter = (
        graph.candidate
        & (colours.lists.infer | colours.lists.clear)
        & np.logical_not(colours.deny_array)
    )
    down = entered(start, graph.candidate_fanout, may_enter)
    between = entered(start, graph.candidate_fanin, down)
    colours.allow_array[(between | roots) & np.logical_not(colours.allow_array)] = step


def infer_after_allow(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """4: INFER with a direct input in allow and none in deny; one scan in the graph's order."""
    if not graph.rules.infer_follows_allow:
        return
    allow, deny = colours.allow, colours.deny
    uncoloured = np.logical_not(colours.allow_array) & np.logical_not(colours.deny_array)
    may_follow = graph.after_allow & colours.lists.infer & uncoloured
    # Only what follows an allowed vertex needs a look: those there are, and those that come.
    follows = may_follow[graph.pair_target] & colours.allow_array[graph.pair_source].astype(
        np.bool_
    )
    waiting: list[int] = sorted(set(graph.pair_target[follows].tolist()))
    fit = _enterable(may_follow)
    while waiting:
        vertex = heapq.heappop(waiting)
        if fit[vertex] and not any(deny[source] for source in graph.fanin[vertex]):
            fit[vertex] = 0
            allow[vertex] = step
            for target in graph.fanout[vertex]:
                # The scan has passed those before.
                if target > vertex and fit[target]:
                    heapq.heappush(waiting, target)


def allow_through_clear(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """5: from allow through CLEAR in both directions, any distance; not past variables."""
    allowed = colours.allow_array.astype(np.bool_)
    may_enter = graph.spreads & colours.lists.clear & ~allowed & np.logical_not(colours.deny_array)
    roots = allowed & graph.processable
    source, target = graph.pair_source, graph.pair_target
    borders = (
        *target[may_enter[target] & roots[source]].tolist(),
        *source[may_enter[source] & roots[target]].tolist(),
    )
    if borders:
        colours.allow_array[entered(borders, graph.candidate_neighbours, may_enter)] = step


def unallow_unfit(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """6: vertices of ALLOW ops that cannot be 16-bit or are quantized lose their paint."""
    for vertex in _where(
        colours.lists.allow & colours.allow_array.astype(np.bool_) & ~graph.stays_allowed
    ):
        colours.remove(vertex, step)


def match_loops(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """7: a NextIteration and the Merges that it feeds share a colour; allow only if all are.

    Raises:
        RewriteError: a NextIteration feeds something that is no Merge.
    """
    for loop in graph.loops:
        if loop.intruder is not None:
            name = graph.graph.vertex_name(loop.next_iteration)
            raise RewriteError(f"{name} feeds a {loop.intruder}; only Merge may follow it")
        if all(colours.allow[merge] for merge in loop.merges):
            vertex = loop.next_iteration
            colours.allow[vertex] = colours.allow[vertex] or step
        else:
            for vertex in (*loop.merges, loop.next_iteration):
                colours.remove(vertex, step)


def absorb_casts(graph: PreparedGraph, colours: Colours, step: int) -> None:
    """8: an existing Cast to float32 whose consumers are all in allow casts to 16 bits itself."""
    for cast, consumers in graph.casts:
        if not colours.allow[cast] and all(colours.allow[vertex] for vertex in consumers):
            colours.allow[cast] = step


#: The steps in the order in which the passes take them. Each runs once. After the second, the
#: passes stop if nothing is in ``allow``.
ORDER: tuple[Step, ...] = (
    deny_escaping_tensor_lists,
    allow_the_allow_list,
    deny_forward,
    match_tensor_lists,
    allow_between,
    infer_after_allow,
    allow_through_clear,
    unallow_unfit,
    match_tensor_lists,
    match_loops,
    absorb_casts,
)
