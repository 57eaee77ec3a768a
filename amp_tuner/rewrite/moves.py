"""Which single moves of an op type change what is painted, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.rewrite.cast_costs import CastCosts, PortCosts
from amp_tuner.rewrite.effective import effective_graph, mismatched_edges
from amp_tuner.rewrite.paint import Painting, paint
from amp_tuner.rewrite.run_counts import constant_nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.amp.lists import AmpLists
    from amp_tuner.rewrite.prepare import PreparedGraph


@dataclass(frozen=True)
class Change:
    """What a move makes of a graph, against the lists that it starts from.

    Attributes:
        gained, lost: type attributes that become 16-bit, or no longer do, by op type; of nodes that
            run.
        constants: type attributes that change in nodes that follow from constants alone, which
            TensorFlow computes once, before the first run.
        casts: inserted Casts, more (or fewer: negative) than before.
        casts_per_run: those of them that run, constants and so weights left out.
        bytes_per_run: read and written by Casts of known size, more than before.
        unknown: Casts of unknown size or in loops, more than before; not in ``bytes_per_run``.
        cannot_run: op types of which a node would become 16-bit that has no such kernel, or whose
            meaning would change (state, references, functions).
    """

    gained: Mapping[str, int]
    lost: Mapping[str, int]
    constants: int
    casts: int
    casts_per_run: int
    bytes_per_run: int
    unknown: int
    cannot_run: tuple[str, ...]

    @property
    def is_running(self) -> bool:
        """Whether nodes change that run."""
        return bool(self.gained or self.lost)

    @property
    def balance(self) -> int:
        """Type attributes gained, those lost subtracted."""
        return sum(self.gained.values()) - sum(self.lost.values())


@dataclass(frozen=True)
class MoveGroup:
    """Moves that all give the same graph.

    Attributes:
        moves: op type and list that it goes to.
        graph_id: of that graph.
        change: what it is.
    """

    moves: tuple[tuple[str, str], ...]
    graph_id: str
    change: Change


@dataclass(frozen=True)
class SingleMoves:
    """All single moves from one setting.

    Attributes:
        groups: those that change the effective graph: first those that gain type attributes on
            balance, then those that lose some, then those that change constants only, at last those
            that cannot run; within these by what they save: bytes per run, Casts.
        tried: how many moves there are.
        idle: how many of them change nothing.
    """

    groups: tuple[MoveGroup, ...]
    tried: int
    idle: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def single_moves(prepared: PreparedGraph, lists: AmpLists, level: str = "default") -> SingleMoves:
    """Tries each op type that reads something in each other list.

    Raises:
        RewriteError: the real pass fails on ``lists``.
    """
    judge = _Judge(prepared)
    before = paint(prepared, lists, level)
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    paintings: dict[str, Painting] = {}
    unchanged = effective_graph(prepared, before).graph_id
    moves = [
        (op, place)
        for op in _readers(prepared)
        for place in DESTINATIONS
        if place != lists.list_of(op)
    ]
    for op, place in moves:
        painting = paint(prepared, lists.moved({op: place}), level)
        graph_id = effective_graph(prepared, painting).graph_id
        if graph_id != unchanged:
            groups[graph_id].append((op, place))
            paintings[graph_id] = painting
    found = [
        MoveGroup(tuple(same), graph_id, judge.change(before, paintings[graph_id]))
        for graph_id, same in groups.items()
    ]
    effective = sum(len(group.moves) for group in found)
    return SingleMoves(tuple(sorted(found, key=_rank)), len(moves), len(moves) - effective)


def _rank(group: MoveGroup) -> tuple[Any, ...]:
    change = group.change
    running = (change.bytes_per_run, change.unknown, change.casts_per_run, change.casts)
    kind = (bool(change.cannot_run), not change.is_running, change.balance < 0)
    return (*kind, *running, -change.balance, group.moves)


def _readers(prepared: PreparedGraph) -> list[str]:
    """Op types of which some node reads something: no constants, no inputs; sorted."""
    vertices, nodes = prepared.graph.vertices, prepared.graph.nodes
    return sorted({nodes[vertices[edge.target].node].op for edge in prepared.graph.edges})


class _Judge:
    """What paintings of one graph differ in."""

    def __init__(self, prepared: PreparedGraph) -> None:
        self.prepared = prepared
        self.costs = PortCosts.of(prepared)
        constant = constant_nodes(prepared.graph)
        self.constant = np.array(
            [vertex.node in constant for vertex in prepared.graph.vertices], dtype=np.bool_
        )

    def change(self, before: Painting, after: Painting) -> Change:
        old, new = self.cast_costs(before), self.cast_costs(after)
        gained = after.painted & ~before.painted
        lost = before.painted & ~after.painted
        return Change(
            gained=self.by_op_type(gained & ~self.constant),
            lost=self.by_op_type(lost & ~self.constant),
            constants=int(((gained | lost) & self.constant).sum()),
            casts=new.count - old.count,
            casts_per_run=(new.count - new.constant) - (old.count - old.constant),
            bytes_per_run=new.bytes_per_run - old.bytes_per_run,
            unknown=(new.unknown + new.looping) - (old.unknown + old.looping),
            cannot_run=self.unfit(gained),
        )

    def cast_costs(self, painting: Painting) -> CastCosts:
        edges = mismatched_edges(self.prepared, painting)
        return self.costs.total(np.unique(self.prepared.edge_port[edges]))

    def by_op_type(self, vertices: NDArray[np.bool_]) -> dict[str, int]:
        ops, counts = np.unique(self.prepared.op_of[vertices], return_counts=True)
        return {self.prepared.op_types[op]: int(count) for op, count in zip(ops, counts)}

    def unfit(self, gained: NDArray[np.bool_]) -> tuple[str, ...]:
        graph = self.prepared.graph
        found = set()
        for vertex in np.flatnonzero(gained).tolist():
            node = graph.nodes[graph.vertices[vertex].node]
            if not node.tunable or not self.prepared.supports[vertex]:
                found.add(node.op)
        return tuple(sorted(found))
