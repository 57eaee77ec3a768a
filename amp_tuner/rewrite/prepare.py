"""A typed graph made ready for painting: flat arrays, worked out once and painted many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from amp_tuner.errors import InputError
from amp_tuner.rewrite.neighbours import Neighbours, Rows, distinct_pairs, neighbours_of
from amp_tuner.rewrite.tensor_lists import TensorLists, find_tensor_lists

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.amp.rules import RuleSet
    from amp_tuner.graph.typed_graph import TypedGraph


@dataclass(frozen=True)
class Loop:
    """A NextIteration's ``T`` vertex, the ``T`` vertices of the Merges that it feeds.

    Attributes:
        next_iteration: the vertex.
        merges: the vertices.
        intruder: op type of a consumer that is no Merge: the pass fails; None otherwise.
    """

    next_iteration: int
    merges: tuple[int, ...]
    intruder: Optional[str]


@dataclass(frozen=True)
class PreparedGraph:
    """A typed graph with its neighbours and tests as flat arrays over its vertices.

    Attributes:
        graph: what it was made of.
        rules: the rule set.
        op_types: the distinct op types, sorted.
        op_of: index into ``op_types`` of each vertex's node; int64, shape (vertices,).
        fanin, fanout: of each vertex: distinct sources, targets; the artificial edges of
            TensorLists included.
        candidate_fanin, candidate_fanout: the same, but only the candidates (see there).
        pair_source, pair_target: every source and target once; int64, shape (pairs,).
        float32: its type is float32; bool, shape (vertices,), as all below.
        processable, forceable, quantized: of its node.
        fixed: the op fixes its type.
        supports: type and kernel exist in 16 bits.
        type_ok: the type does.
        candidate: float32, processable and supported: what a flood may enter.
        after_allow: float32, processable and fit for the step that paints INFER after ALLOW.
        stays_allowed: an ALLOW op's vertex keeps its paint.
        spreads: a candidate that is no reader of a variable.
        tensor_lists, loops: see there.
        casts: of each existing Cast to float32 with consumers: (its ``DstT`` vertex, theirs).
        edge_port: a number for the output port of each edge; int64, shape (edges,).
        edge_source, edge_target: vertices of each edge; int64, shape (edges,).
    """

    graph: TypedGraph
    rules: RuleSet
    op_types: tuple[str, ...]
    op_of: NDArray[np.int64]
    fanin: Neighbours = field(repr=False)
    fanout: Neighbours = field(repr=False)
    candidate_fanin: Rows = field(repr=False)
    candidate_fanout: Rows = field(repr=False)
    pair_source: NDArray[np.int64] = field(repr=False)
    pair_target: NDArray[np.int64] = field(repr=False)
    float32: NDArray[np.bool_] = field(repr=False)
    processable: NDArray[np.bool_] = field(repr=False)
    forceable: NDArray[np.bool_] = field(repr=False)
    quantized: NDArray[np.bool_] = field(repr=False)
    fixed: NDArray[np.bool_] = field(repr=False)
    supports: NDArray[np.bool_] = field(repr=False)
    type_ok: NDArray[np.bool_] = field(repr=False)
    candidate: NDArray[np.bool_] = field(repr=False)
    after_allow: NDArray[np.bool_] = field(repr=False)
    stays_allowed: NDArray[np.bool_] = field(repr=False)
    spreads: NDArray[np.bool_] = field(repr=False)
    tensor_lists: TensorLists
    loops: tuple[Loop, ...]
    casts: tuple[tuple[int, tuple[int, ...]], ...] = field(repr=False)
    edge_port: NDArray[np.int64] = field(repr=False)
    edge_source: NDArray[np.int64] = field(repr=False)
    edge_target: NDArray[np.int64] = field(repr=False)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Of each vertex: sources and targets."""
        source, target = self.pair_source, self.pair_target
        at, there = np.concatenate((source, target)), np.concatenate((target, source))
        return neighbours_of(at, there, self.vertices)

    @cached_property
    def candidate_neighbours(self) -> Rows:
        """The same, but only the candidates."""
        source, target = self.pair_source, self.pair_target
        at, there = np.concatenate((source, target)), np.concatenate((target, source))
        fit = self.candidate[there]
        return neighbours_of(at[fit], there[fit], self.vertices).rows()

    @property
    def vertices(self) -> int:
        """How many vertices there are."""
        return len(self.graph.vertices)


def prepare(graph: TypedGraph, rules: RuleSet) -> PreparedGraph:
    """Makes ``graph`` ready for painting under ``rules``.

    Raises:
        InputError: the graph was described for another rule set.
        RewriteError: the real pass would abort on its TensorLists.
    """
    if graph.rules != rules.identifier:
        raise InputError.one("rules", f"graph described for {graph.rules}, not {rules.identifier}")
    vertices = len(graph.vertices)
    edges: Any = _columns(graph.edges, 4)
    source, target = distinct_pairs(edges[0], edges[2], vertices)
    fanin, fanout = neighbours_of(target, source, vertices), neighbours_of(source, target, vertices)
    tensor_lists = find_tensor_lists(graph, fanin, fanout)
    if tensor_lists.edges:
        added = _columns(tensor_lists.edges, 2)
        source, target = distinct_pairs(
            np.concatenate((source, added[0])), np.concatenate((target, added[1])), vertices
        )
        fanin = neighbours_of(target, source, vertices)
        fanout = neighbours_of(source, target, vertices)
    tests = _tests(graph, rules)
    enters, leaves = tests["candidate"][target], tests["candidate"][source]
    op_types = tuple(sorted({node.op for node in graph.nodes}))
    position = {op_type: index for index, op_type in enumerate(op_types)}
    op_of_node = np.array([position[node.op] for node in graph.nodes], dtype=np.int64)
    most = int(edges[1].max(initial=0)) + 1
    return PreparedGraph(
        graph=graph,
        rules=rules,
        op_types=op_types,
        op_of=op_of_node[_nodes(graph)],
        fanin=fanin,
        fanout=fanout,
        candidate_fanin=neighbours_of(target[leaves], source[leaves], vertices).rows(),
        candidate_fanout=neighbours_of(source[enters], target[enters], vertices).rows(),
        pair_source=source,
        pair_target=target,
        **tests,
        tensor_lists=tensor_lists,
        loops=_loops(graph),
        casts=_casts(graph),
        edge_port=np.unique(edges[0] * most + edges[1], return_inverse=True)[1].reshape(-1),
        edge_source=edges[0],
        edge_target=edges[2],
    )


def _columns(rows: Sequence[Sequence[int]], width: int) -> NDArray[np.int64]:
    """Rows of whole numbers as columns; shape (width, rows)."""
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=width * len(rows))
    return np.ascontiguousarray(flat.reshape(-1, width).T)


def _nodes(graph: TypedGraph) -> NDArray[np.int64]:
    """The node of each vertex."""
    nodes = (vertex.node for vertex in graph.vertices)
    return np.fromiter(nodes, dtype=np.int64, count=len(graph.vertices))


def _tests(graph: TypedGraph, rules: RuleSet) -> dict[str, NDArray[np.bool_]]:
    """The passes' tests, for every vertex."""
    of = _nodes(graph)
    float32 = _flags(vertex.dtype == "float32" for vertex in graph.vertices)
    type_ok = _flags(vertex.type_ok for vertex in graph.vertices)
    supports = type_ok & _flags(vertex.kernel_ok for vertex in graph.vertices)
    processable = _flags(node.processable for node in graph.nodes)[of]
    quantized = _flags(node.quantized for node in graph.nodes)[of]
    candidate = processable & float32 & supports
    return {
        "float32": float32,
        "processable": processable,
        "forceable": _flags(node.forceable for node in graph.nodes)[of],
        "quantized": quantized,
        "fixed": _flags(not vertex.attribute for vertex in graph.vertices),
        "supports": supports,
        "type_ok": type_ok,
        "candidate": candidate,
        "after_allow": processable & float32 & (supports if rules.infer_needs_kernel else type_ok),
        "stays_allowed": ~quantized & (supports if rules.allow_needs_kernel else type_ok),
        "spreads": candidate & ~_flags(node.reads_variable for node in graph.nodes)[of],
    }


def _flags(values: Any) -> NDArray[np.bool_]:
    return np.fromiter(values, dtype=np.bool_)


def _loops(graph: TypedGraph) -> tuple[Loop, ...]:
    """Every NextIteration with what it feeds, in node order."""
    fed: dict[int, list[int]] = {
        position: []
        for position, vertex in enumerate(graph.vertices)
        if vertex.attribute == "T" and graph.nodes[vertex.node].op == "NextIteration"
    }
    for edge in graph.edges:
        if edge.source in fed:
            fed[edge.source].append(edge.target)
    return tuple(
        Loop(next_iteration, tuple(targets), _intruder(graph, targets))
        for next_iteration, targets in fed.items()
    )


def _intruder(graph: TypedGraph, targets: list[int]) -> Optional[str]:
    ops = (graph.nodes[graph.vertices[target].node].op for target in targets)
    return next((op for op in ops if op != "Merge"), None)


def _casts(graph: TypedGraph) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Every Cast to float32 that somebody consumes, with its consumers' vertices."""
    consumers: dict[int, list[int]] = {
        position: []
        for position, vertex in enumerate(graph.vertices)
        if vertex.attribute == "DstT"
        and vertex.dtype == "float32"
        and graph.nodes[vertex.node].op == "Cast"
    }
    for edge in graph.edges:
        if edge.source in consumers:
            consumers[edge.source].append(edge.target)
    return tuple((cast, tuple(targets)) for cast, targets in consumers.items() if targets)
