"""What each node, tensor and Cast of a graph takes in float32 and in 16 bits, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.errors import InputError, Problem
from amp_tuner.rewrite.run_counts import constant_nodes
from amp_tuner.roofline.fusion import STYLES
from amp_tuner.roofline.rates import arithmetic_s, fits_cache, traffic_s
from amp_tuner.roofline.work import (
    FREE,
    OPAQUE_OPS,
    SEGMENTS,
    SLICES,
    Kind,
    Work,
    elements,
    gathered,
    work_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from amp_tuner.graph.traced_run import Shape, TracedRun
    from amp_tuner.graph.typed_graph import TypedGraph
    from amp_tuner.rewrite.prepare import PreparedGraph
    from amp_tuner.roofline.device import DeviceProfile

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

FLOAT32 = "float32"
#: Bytes of an element, by type; 4 where a type is not named.
_WIDTHS = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64", "resource", "string"), 8),
    **dict.fromkeys(("bfloat16", "float16", "int16", "uint16"), 2),
    **dict.fromkeys(("bool", "int8", "uint8", "qint8", "quint8"), 1),
}
_FULL_BYTES, _HALF_BYTES = 4, 2
_NAMED = 5


@dataclass(frozen=True)
class Pair:
    """Seconds in float32 and in the rule set's 16-bit type; arrays of one shape."""

    full: Floats
    half: Floats

    def chosen(self, is_half: Bools) -> Floats:
        """Of each element the one that ``is_half`` says."""
        return np.where(is_half, self.half, self.full)


@dataclass(frozen=True)
class Tables:
    """A graph on a device, per run of the model. Times are seconds; loops are counted.

    Attributes:
        work: of each node.
        constant: nodes that follow from constants alone: worked out before the first run.
        runs: of each node; float64, shape (nodes,).
        kernels: the same, 0 where nothing is launched.
        compute: arithmetic of each node; shape (nodes,).
        layout: what a convolution takes for changing its tensors' layout; shape (nodes,).
        vertex_node: the node of each vertex; int64, shape (vertices,).
        reads: of each edge, by the type that is read; shape (edges,).
        edge_node: who reads; int64, shape (edges,).
        port_of_edge: the output port that is read, as numbered in all that follows.
        readers: of each port; int64, shape (ports,).
        writes: of each port, by the type that is written; shape (ports,).
        port_node, port_vertex: whose port it is; int64, shape (ports,).
        casts: a Cast behind each port, by the port's own type; shape (ports,).
        constant_port: whether it follows from constants; bool, shape (ports,).
        cast_runs: how often such a Cast runs; 0 where it is folded.
    """

    work: Sequence[Work]
    constant: frozenset[int]
    runs: Floats
    kernels: Floats
    compute: Pair
    layout: Pair
    vertex_node: Ints
    reads: Pair
    edge_node: Ints
    port_of_edge: Ints
    readers: Ints
    writes: Pair
    port_node: Ints
    port_vertex: Ints
    casts: Pair
    constant_port: Bools
    cast_runs: Floats

    @classmethod
    def of(
        cls, prepared: PreparedGraph, run: TracedRun, profile: DeviceProfile, *, folded: bool
    ) -> Tables:
        """Worked out once for a graph; see ``CostModel`` for what is what.

        Raises:
            InputError: the run is of another graph, or nodes call functions whose work is unknown.
        """
        graph, data_type = prepared.graph, prepared.rules.data_type
        _check(graph, run)
        constant = constant_nodes(graph)
        work = _works(graph, run, constant)
        runs = np.array([node.runs for node in run.nodes], dtype=np.float64)
        free = np.array([one.kind is Kind.FREE for one in work], dtype=np.bool_)
        _, first, port_of_edge, readers = np.unique(
            prepared.edge_port, return_index=True, return_inverse=True, return_counts=True
        )
        vertex_node = np.array([vertex.node for vertex in graph.vertices], dtype=np.int64)
        edge_node = vertex_node[prepared.edge_target]
        port_vertex = prepared.edge_source[first]
        port_node = vertex_node[port_vertex]
        is_read = np.zeros(len(first), dtype=np.bool_)
        is_read[port_of_edge[~np.isin(edge_node, sorted(constant))]] = True
        tensors = _Tensors(graph, run, profile, constant, first.tolist(), is_read.tolist())
        is_constant = np.isin(port_node, sorted(constant))
        cast_runs = np.where(is_constant, 0.0 if folded else 1.0, runs[port_node])
        return cls(
            work=work,
            constant=constant,
            runs=runs,
            kernels=np.where(free, 0.0, runs),
            compute=Pair(
                *(
                    runs * np.array([arithmetic_s(profile, one, name) for one in work])
                    for name in (FLOAT32, data_type)
                )
            ),
            layout=tensors.layouts(work, data_type, runs),
            vertex_node=vertex_node,
            reads=tensors.reads(edge_node, port_of_edge, runs * ~free),
            edge_node=edge_node,
            port_of_edge=port_of_edge,
            readers=readers,
            writes=tensors.writes((runs * ~free)[port_node]),
            port_node=port_node,
            port_vertex=port_vertex,
            casts=tensors.casts(data_type),
            constant_port=is_constant,
            cast_runs=cast_runs,
        )


class _Tensors:
    """Traffic of a graph's tensors, numbered as the tables number ports."""

    def __init__(
        self,
        graph: TypedGraph,
        run: TracedRun,
        profile: DeviceProfile,
        constant: frozenset[int],
        first_edges: list[int],
        is_read: list[bool],
    ) -> None:
        """One port for each of ``first_edges``, and whether anything that runs reads it."""
        self._graph = graph
        self._run = run
        self._profile = profile
        self._inputs = {
            (graph.vertices[edge.target].node, edge.target_port): run.nodes[
                graph.vertices[edge.source].node
            ].shape(edge.source_port)
            for edge in graph.edges
        }
        edges = [graph.edges[edge] for edge in first_edges]
        vertices = [graph.vertices[edge.source] for edge in edges]
        self._elements = [
            elements(run.nodes[vertex.node].shape(edge.source_port))
            for vertex, edge in zip(vertices, edges)
        ]
        self._dtypes = [vertex.dtype for vertex in vertices]
        self._weights = [vertex.node in constant for vertex in vertices]
        weights = [
            (size, dtype)
            for size, dtype, is_weight, read in zip(
                self._elements, self._dtypes, self._weights, is_read
            )
            # What is worked out from constants takes their place: only that is kept.
            if is_weight and read
        ]
        self._weights_fit = {
            width: fits_cache(profile, sum(size * _own(width, dtype) for size, dtype in weights))
            for width in (_FULL_BYTES, _HALF_BYTES)
        }

    def reads(self, edge_node: Ints, port_of_edge: Ints, runs: Floats) -> Pair:
        """What each edge moves to its reader."""
        limits = [
            self._read_at_most(node, edge.target_port)
            for node, edge in zip(edge_node.tolist(), self._graph.edges)
        ]
        ports = port_of_edge.tolist()
        return self._pair(
            lambda width: (
                runs[edge_node]
                * np.array([self._move_s(port, width, most) for port, most in zip(ports, limits)])
            )
        )

    def writes(self, runs: Floats) -> Pair:
        """What each port's node moves."""
        ports = range(len(self._elements))
        return self._pair(
            lambda width: runs * np.array([self._move_s(port, width) for port in ports])
        )

    def casts(self, data_type: str) -> Pair:
        """A Cast of each tensor: it reads one type and writes the other."""

        def cast_s(port: int, target: str) -> float:
            moved = self._move_s(port, _FULL_BYTES) + self._move_s(port, _HALF_BYTES)
            work = Work(Kind.CAST, self._elements[port])
            return max(moved, arithmetic_s(self._profile, work, target))

        ports = range(len(self._elements))
        return Pair(
            np.array([cast_s(port, data_type) for port in ports], dtype=np.float64),
            np.array([cast_s(port, FLOAT32) for port in ports], dtype=np.float64),
        )

    def layouts(self, work: Sequence[Work], data_type: str, runs: Floats) -> Pair:
        """Two more kernels a convolution on matrix units, where the runtime needs them."""
        rates, profile = self._profile.rates, self._profile
        found = []
        for name, width in ((FLOAT32, _FULL_BYTES), (data_type, _HALF_BYTES)):
            seconds = np.zeros(len(work))
            if STYLES[profile.fusion].transposes and rates["matrix"][name] > rates["vector"][name]:
                for node, one in enumerate(work):
                    if one.kind is Kind.CONVOLUTION:
                        moved = 2 * width * self._picture_elements(node)
                        cached = fits_cache(profile, moved / 4)
                        seconds[node] = traffic_s(profile, moved, cached=cached)
                        seconds[node] += 2 * profile.launch_s
            found.append(runs * seconds)
        return Pair(*found)

    def _picture_elements(self, node: int) -> int:
        """Of a convolution's first input and its output."""
        first = elements(self._inputs.get((node, 0)))
        return first + elements(self._run.nodes[node].shape(0))

    @staticmethod
    def _pair(of_width: Callable[[int], Floats]) -> Pair:
        return Pair(of_width(_FULL_BYTES), of_width(_HALF_BYTES))

    def _move_s(self, port: int, width: int, at_most: float = np.inf) -> float:
        """Seconds to move a tensor; ``width``: of an element, where it is float32 in the model."""
        own, size = _own(width, self._dtypes[port]), self._elements[port]
        if self._weights[port]:
            cached = self._weights_fit[width]
        else:
            cached = fits_cache(self._profile, size * own)
        return traffic_s(self._profile, min(size, at_most) * own, cached=cached)

    def _read_at_most(self, node: int, port: int) -> float:
        """Elements that a node reads of an input at most."""
        op, shapes = self._graph.nodes[node].op, self._run.nodes[node].shapes
        if port == 0 and op in SLICES:
            return sum(map(elements, shapes))
        if port == 0 and op in SEGMENTS:
            return gathered(self._inputs.get((node, 1)), self._run.nodes[node].shape(0))
        return np.inf


def _own(width: int, dtype: str) -> int:
    """Bytes of an element; ``width`` where it is float32 in the model."""
    return width if dtype == FLOAT32 else _width(dtype)


def _width(dtype: str) -> int:
    return _WIDTHS.get(dtype, _FULL_BYTES)


def _check(graph: TypedGraph, run: TracedRun) -> None:
    if len(run.nodes) != len(graph.nodes):
        message = f"the traced run has {len(run.nodes)} nodes, the graph {len(graph.nodes)}"
        raise InputError.one("$.model", message)
    opaque = [
        f"{node.name} ({node.op})"
        for node, traced in zip(graph.nodes, run.nodes)
        if node.op in OPAQUE_OPS and traced.runs
    ]
    if opaque:
        more = f" and {len(opaque) - _NAMED} more" if len(opaque) > _NAMED else ""
        message = f"runtime roofline cannot see into {', '.join(opaque[:_NAMED])}{more}"
        raise InputError([Problem("$.model", message)])


def _works(graph: TypedGraph, run: TracedRun, constant: frozenset[int]) -> list[Work]:
    inputs: list[dict[int, Shape | None]] = [{} for _ in graph.nodes]
    for edge in graph.edges:
        source = run.nodes[graph.vertices[edge.source].node]
        inputs[graph.vertices[edge.target].node][edge.target_port] = source.shape(edge.source_port)
    return [
        FREE
        if index in constant
        else work_of(
            node.op,
            [read[port] for port in sorted(read)],
            traced.shapes,
            traced.attributes,
        )
        for index, (node, read, traced) in enumerate(zip(graph.nodes, inputs, run.nodes))
    ]
