"""A graph as the mixed precision passes see it: plain data, no TensorFlow.

A *vertex* is one type attribute of one node: a named one (``T``), one element of a list
(``T[2]``), or a type that the op fixes. All ports of a node that take their type from the same
attribute share its vertex. An *edge* runs from the vertex of an output port to the vertex of the
input port that it feeds; control edges are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from amp_tuner.amp.lists import AmpLists

#: Layout of :meth:`TypedGraph.to_json`.
FORMAT = 1


class TypedNode(NamedTuple):
    """A node.

    Attributes:
        name: its name in the GraphDef.
        op: its op type (FusedBatchNorm is FusedBatchNormV2 already where the pass converts it).
        processable: on the right device and not to be preserved.
        forceable: what level ``unsafe_force_all`` may convert.
        reads_variable: an Identity or Enter behind a non-resource variable.
        quantized: has a quantized type attribute.
        boundary: tensor lists cannot be followed through it (calls, arguments, …).
        tunable: a change of its type attributes keeps its meaning (no state, no function, no
            resource, no reinterpretation of bytes).
        kept: not processable because it is fed, fetched or otherwise to be preserved.
    """

    name: str
    op: str
    processable: bool
    forceable: bool
    reads_variable: bool
    quantized: bool
    boundary: bool
    tunable: bool
    kept: bool = False


class Vertex(NamedTuple):
    """A type attribute of a node.

    Attributes:
        node: index of the node.
        attribute: the attribute's name; empty for a type that the op fixes.
        element: position in a list attribute; -1 for a single type.
        dtype: its type in the FP32 graph, by TensorFlow's name (``float32``).
        type_ok: the op allows the 16-bit type there.
        kernel_ok: a kernel is registered with just this attribute in 16 bits.
    """

    node: int
    attribute: str
    element: int
    dtype: str
    type_ok: bool
    kernel_ok: bool


class Edge(NamedTuple):
    """A data edge, between output port ``source_port`` and input port ``target_port``.

    ``source`` and ``target`` are indices of vertices; ports count within their nodes.
    """

    source: int
    source_port: int
    target: int
    target_port: int


@dataclass(frozen=True)
class Shapes:
    """Static shapes, as far as TensorFlow infers them without running the model.

    Attributes:
        batch_size: what free first dimensions of inputs were taken to be; None where none is free.
        of_ports: (node, output port) to the shape of a float32 tensor that is read; those of
            unknown shape are left out.
        problem: why nothing could be inferred; None where it could.
    """

    batch_size: Optional[int]
    of_ports: Mapping[tuple[int, int], tuple[int, ...]]
    problem: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the inverse of :meth:`from_json`."""
        ports = [[*port, list(shape)] for port, shape in self.of_ports.items()]
        return {"batch_size": self.batch_size, "of_ports": ports, "problem": self.problem}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Shapes:
        """Shapes from what :meth:`to_json` gave."""
        ports = {(node, port): tuple(shape) for node, port, shape in value["of_ports"]}
        return cls(value["batch_size"], ports, value["problem"])


@dataclass(frozen=True)
class TypedGraph:
    """One model under one rule set, as data that both processes share.

    Attributes:
        rules: the rule set's identifier (``tf-cpu-bfloat16@2.21``).
        kernel_source: where ``kernel_ok`` comes from, for the reader.
        skipped: why the pass leaves this graph alone altogether; None where it runs.
        nodes: in GraphDef order.
        vertices: grouped by node, in node order.
        edges: by consuming node and port.
        lists: the default lists that the runtime's own pass printed; None where none was asked.
        shapes: for explanations only; None where nobody asked.
    """

    rules: str
    kernel_source: str
    skipped: Optional[str]
    nodes: tuple[TypedNode, ...]
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    lists: Optional[AmpLists] = None
    shapes: Optional[Shapes] = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the inverse of :meth:`from_json`."""
        return {
            "format": FORMAT,
            "rules": self.rules,
            "kernel_source": self.kernel_source,
            "skipped": self.skipped,
            "nodes": [list(node) for node in self.nodes],
            "vertices": [list(vertex) for vertex in self.vertices],
            "edges": [list(edge) for edge in self.edges],
            "lists": None if self.lists is None else self.lists.to_json(),
            "shapes": None if self.shapes is None else self.shapes.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TypedGraph:
        """A graph from what :meth:`to_json` gave.

        Raises:
            ValueError: written in another format.
        """
        if value["format"] != FORMAT:
            raise ValueError(f"typed graph of format {value['format']}; this reads {FORMAT}")
        return cls(
            rules=value["rules"],
            kernel_source=value["kernel_source"],
            skipped=value["skipped"],
            nodes=tuple(TypedNode(*node) for node in value["nodes"]),
            vertices=tuple(Vertex(*vertex) for vertex in value["vertices"]),
            edges=tuple(Edge(*edge) for edge in value["edges"]),
            lists=None if value["lists"] is None else AmpLists.from_json(value["lists"]),
            shapes=None if value["shapes"] is None else Shapes.from_json(value["shapes"]),
        )

    def vertex_name(self, index: int) -> str:
        """A vertex for people: ``conv1:T`` or ``pass:T[2]`` or ``shape:int32``."""
        return f"{self.nodes[self.vertices[index].node].name}:{self.attribute_name(index)}"

    def attribute_name(self, index: int) -> str:
        """A vertex within its node, for people: ``T`` or ``T[2]`` or ``int32``."""
        vertex = self.vertices[index]
        element = "" if vertex.element < 0 else f"[{vertex.element}]"
        return f"{vertex.attribute or vertex.dtype}{element}"
