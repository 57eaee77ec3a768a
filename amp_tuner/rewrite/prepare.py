"""A typed graph made ready for painting: flat arrays, worked out once and painted many times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from amp_tuner.errors import InputError
from amp_tuner.rewrite.moved_nodes import NamedVertices
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
        node_of, op_of: of each vertex the index of its node, of its op type in ``op_types``; int64,
            shape (vertices,).
        named: the vertices of the nodes that a move names.
        fanin, fanout: of each vertex: distinct sources, targets; the artificial edges of
            TensorLists included.
        neighbours: both.
        candidate_fanin, candidate_fanout, candidate_neighbours: the same, but only the candidates
            (see there).
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
    node_of: NDArray[np.int64] = field(repr=False)
    named: NamedVertices = field(repr=False)
    op_of: NDArray[np.int64]
    fanin: Neighbours = field(repr=False)
    fanout: Neighbours = field(repr=False)
    neighbours: Rows = field(repr=False)
    candidate_fanin: Rows = field(repr=False)
    candidate_fanout: Rows = field(repr=False)
    candidate_neighbours: Rows = field(repr=False)
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
    op_types = tuple(sorted({node.op for node in graph.nodes}))
    node_of = _column(graph.vertices, "node", np.int64)
    op_of = _numbers(graph, op_types)[node_of]
    edge_source, edge_target = (_column(graph.edges, end, np.int64) for end in ("source", "target"))
    source, target = distinct_pairs(edge_source, edge_target, vertices)
    fanin, fanout = neighbours_of(target, source, vertices), neighbours_of(source, target, vertices)
    of_lists = _vertices_of(op_of, [op for op in op_types if "TensorList" in op], op_types)
    tensor_lists = find_tensor_lists(graph, of_lists, fanin, fanout)
    if tensor_lists.edges:
        added = np.array(tensor_lists.edges, dtype=np.int64).T
        source, target = distinct_pairs(
            np.concatenate((source, added[0])), np.concatenate((target, added[1])), vertices
        )
        fanin = neighbours_of(target, source, vertices)
        fanout = neighbours_of(source, target, vertices)
    tests = _tests(graph, rules, node_of)
    enters, leaves = tests["candidate"][target], tests["candidate"][source]
    candidate_fanin = neighbours_of(target[leaves], source[leaves], vertices)
    candidate_fanout = neighbours_of(source[enters], target[enters], vertices)
    iterations, casts = (
        _readers(_vertices_of(op_of, [op_type], op_types), edge_source, edge_target)
        for op_type in ("NextIteration", "Cast")
    )
    return PreparedGraph(
        graph=graph,
        rules=rules,
        op_types=op_types,
        node_of=node_of,
        named=NamedVertices(graph, node_of),
        op_of=op_of,
        fanin=fanin,
        fanout=fanout,
        neighbours=Rows(fanin, fanout),
        candidate_fanin=Rows(candidate_fanin),
        candidate_fanout=Rows(candidate_fanout),
        candidate_neighbours=Rows(candidate_fanin, candidate_fanout),
        pair_source=source,
        pair_target=target,
        **tests,
        tensor_lists=tensor_lists,
        loops=_loops(graph, iterations),
        casts=_casts(graph, casts),
        edge_port=_edge_ports(graph, edge_source),
        edge_source=edge_source,
        edge_target=edge_target,
    )


def _numbers(graph: TypedGraph, op_types: Sequence[str]) -> NDArray[np.int64]:
    """The place of each node's op type among ``op_types``; shape (nodes,)."""
    places = {op_type: place for place, op_type in enumerate(op_types)}
    return np.array([places[node.op] for node in graph.nodes], dtype=np.int64)


def _vertices_of(
    op_of: NDArray[np.int64], chosen: Iterable[str], op_types: Sequence[str]
) -> list[int]:
    """The vertices of nodes of these op types."""
    numbers = [place for place, op_type in enumerate(op_types) if op_type in chosen]
    found: list[int] = np.isin(op_of, numbers).nonzero()[0].tolist()
    return found


def _column(rows: Sequence[Any], name: str, dtype: Any) -> NDArray[Any]:
    """One field of all rows; shape (rows,)."""
    return np.fromiter(map(attrgetter(name), rows), dtype=dtype, count=len(rows))


def _tests(
    graph: TypedGraph, rules: RuleSet, node_of: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """The passes' tests, for every vertex."""
    float32 = _flags(vertex.dtype == "float32" for vertex in graph.vertices)
    type_ok = _column(graph.vertices, "type_ok", np.bool_)
    supports = type_ok & _column(graph.vertices, "kernel_ok", np.bool_)
    processable, forceable, quantized, reads_variable = (
        _column(graph.nodes, name, np.bool_)[node_of]
        for name in ("processable", "forceable", "quantized", "reads_variable")
    )
    candidate = processable & float32 & supports
    return {
        "float32": float32,
        "processable": processable,
        "forceable": forceable,
        "quantized": quantized,
        "fixed": _flags(not vertex.attribute for vertex in graph.vertices),
        "supports": supports,
        "type_ok": type_ok,
        "candidate": candidate,
        "after_allow": processable & float32 & (supports if rules.infer_needs_kernel else type_ok),
        "stays_allowed": ~quantized & (supports if rules.allow_needs_kernel else type_ok),
        "spreads": candidate & ~reads_variable,
    }


def _flags(values: Any) -> NDArray[np.bool_]:
    return np.fromiter(values, dtype=np.bool_)


def _edge_ports(graph: TypedGraph, edge_source: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for the output port of each edge, from 0 up."""
    port = _column(graph.edges, "source_port", np.int64)
    most = int(port.max(initial=0)) + 1
    return np.unique(edge_source * most + port, return_inverse=True)[1].reshape(-1)


def _readers(
    vertices: Sequence[int], edge_source: NDArray[np.int64], edge_target: NDArray[np.int64]
) -> dict[int, list[int]]:
    """The vertices that read each of these, by consuming node and port."""
    found: dict[int, list[int]] = {vertex: [] for vertex in vertices}
    read = np.isin(edge_source, vertices)
    for vertex, reader in zip(edge_source[read].tolist(), edge_target[read].tolist()):
        found[vertex].append(reader)
    return found


def _loops(graph: TypedGraph, iterations: Mapping[int, Sequence[int]]) -> tuple[Loop, ...]:
    """Every NextIteration with what it feeds, in node order."""
    return tuple(
        Loop(next_iteration, tuple(targets), _intruder(graph, targets))
        for next_iteration, targets in iterations.items()
    )


def _intruder(graph: TypedGraph, targets: Sequence[int]) -> Optional[str]:
    ops = (graph.nodes[graph.vertices[target].node].op for target in targets)
    return next((op for op in ops if op != "Merge"), None)


def _casts(
    graph: TypedGraph, casts: Mapping[int, Sequence[int]]
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Every Cast to float32 that somebody consumes, with its consumers' vertices."""
    # Only what it casts to has readers: DstT, never SrcT.
    return tuple(
        (cast, tuple(targets))
        for cast, targets in casts.items()
        if targets and graph.vertices[cast].dtype == "float32"
    )
