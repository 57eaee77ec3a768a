"""From a GraphDef to the typed graph that painting works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple, Optional

from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2

from amp_tuner.amp.rules import RuleSet
from amp_tuner.errors import RewriteError
from amp_tuner.graph.typed_graph import Edge, TypedGraph, TypedNode, Vertex
from amp_tuner.runtime.devices import full_device, parse_device
from amp_tuner.runtime.graph_inputs import split_tensor
from amp_tuner.runtime.kernels import KernelTable, kernel_table
from amp_tuner.runtime.node_kinds import NodeKind, NodeKinds
from amp_tuner.runtime.node_types import OpDefs

#: Numbers of the 16-bit types in TensorFlow's DataType.
DATA_TYPES = {"bfloat16": types_pb2.DT_BFLOAT16, "float16": types_pb2.DT_HALF}
#: What the passes turn BatchNorm ops into, so that their scale can stay float32.
BATCH_NORM_V2 = {
    "FusedBatchNorm": "FusedBatchNormV2",
    "FusedBatchNormGrad": "FusedBatchNormGradV2",
}
_VARIABLES = ("Variable", "VariableV2")
_BOUNDARIES = frozenset(
    {
        "_Arg",
        "_Retval",
        "OptionalFromValue",
        "OptionalGetValue",
        "PartitionedCall",
        "Placeholder",
        "StatefulPartitionedCall",
    }
)


def describe(
    graph_def: graph_pb2.GraphDef,
    rules: RuleSet,
    preserved: Collection[str],
    default_device: Optional[str] = None,
    kernels: Optional[KernelTable] = None,
) -> TypedGraph:
    """The graph as the pass of ``rules`` sees it.

    Args:
        graph_def: the graph that is handed to the pass; not changed.
        rules: the pass.
        preserved: nodes (or tensors, ``name:0``) that it must not convert: feeds and fetches.
        default_device: where nodes are that name no device: ``CPU``, ``GPU``, … or a full name.
            None: where the pass itself puts them, the rule set's own device for TensorFlow's,
            nowhere (never converted) for ITEX's.
        kernels: which kernels exist; None: those of the loaded runtime, see ``kernel_table``.

    Raises:
        RewriteError: the real pass fails on this graph: an op, input or attribute is not as its
            definition says.
    """
    return _Describer(graph_def, rules, preserved, default_device, kernels).describe()


class _Described(NamedTuple):
    """A node with what its definition says.

    ``inputs`` are its data inputs, ``label`` its ``_kernel``, ``info.op`` its op as the pass sees
    it (V2 for BatchNorm).
    """

    kind: NodeKind
    inputs: list[str]
    device: str
    label: str
    info: TypedNode


class _Describer:
    """The making of one typed graph."""

    def __init__(
        self,
        graph_def: graph_pb2.GraphDef,
        rules: RuleSet,
        preserved: Collection[str],
        default_device: Optional[str],
        kernels: Optional[KernelTable],
    ) -> None:
        self.graph_def = graph_def
        self.rules = rules
        self.preserved = {name.split(":")[0] for name in preserved}
        if default_device is None:
            default_device = rules.device_type if rules.places_empty_devices else ""
        elif rules.device_type == "XPU" and default_device.upper() == "GPU":
            default_device = "XPU"
        self.default_device = full_device(default_device) if default_device else ""
        self.kernels = kernels or kernel_table(rules)
        self.target = DATA_TYPES[rules.data_type]
        op_defs = OpDefs.of(graph_def)
        self.kinds = NodeKinds(op_defs, rules, self.target)
        self.boundaries = _BOUNDARIES | op_defs.functions.keys()
        self.nodes = list(graph_def.node)
        self.index_of = {node.name: index for index, node in enumerate(self.nodes)}
        self.places: dict[str, Optional[tuple[str, Optional[int]]]] = {}

    def describe(self) -> TypedGraph:
        nodes = [self._node(node) for node in self.nodes]
        self._check_names()
        vertices: list[Vertex] = []
        first = []
        for index, node in enumerate(nodes):
            first.append(len(vertices))
            vertices += self._vertices(index, node)
        return TypedGraph(
            rules=self.rules.identifier,
            kernel_source=self.kernels.source,
            skipped=self._skipped(nodes),
            nodes=tuple([node.info for node in nodes]),
            vertices=tuple(vertices),
            edges=tuple(self._edges(nodes, first)),
        )

    def _check_names(self) -> None:
        if len(self.index_of) < len(self.nodes):
            counts = Counter(node.name for node in self.nodes)
            raise RewriteError(f"two nodes are called {counts.most_common(1)[0][0]}")

    def _skipped(self, nodes: list[_Described]) -> Optional[str]:
        gate = self.rules.gate
        if not gate or any(part in node.info.op for node in nodes for part in gate):
            return None
        return f"no op type contains one of {', '.join(gate)}"

    def _node(self, node: node_def_pb2.NodeDef) -> _Described:
        name = node.name
        kept = name in self.preserved
        device = node.device or self.default_device
        processable = not kept and self._on_device(device)
        if processable and node.op in BATCH_NORM_V2:
            node = _as_v2(node)
        kind = self.kinds.of(node)
        inputs = [one for one in node.input if not one.startswith("^")]
        if len(inputs) != len(kind.types.inputs):
            raise RewriteError(
                f"{name} ({kind.op}) has {len(inputs)} inputs; its op takes "
                f"{len(kind.types.inputs)}"
            )
        info = TypedNode(
            name=name,
            op=kind.op,
            processable=processable,
            forceable=kind.forceable,
            reads_variable=self._reads_variable(kind.op, inputs),
            quantized=kind.quantized,
            boundary=kind.op in self.boundaries,
            tunable=kind.tunable,
            kept=kept,
        )
        label = node.attr["_kernel"].s.decode(errors="replace") if "_kernel" in node.attr else ""
        return _Described(kind, inputs, device, label, info)

    def _place(self, device: str) -> Optional[tuple[str, Optional[int]]]:
        if device not in self.places:
            self.places[device] = parse_device(device)
        return self.places[device]

    def _on_device(self, device: str) -> bool:
        place = self._place(device)
        return place is not None and place[1] is not None and self.rules.device_type in place[0]

    def _reads_variable(self, op: str, inputs: list[str]) -> bool:
        """An Identity of a non-resource variable, or an Enter of such an Identity."""
        if op not in ("Identity", "Enter"):
            return False
        source = self._producer(inputs[0])
        if source is None or op == "Identity":
            return source is not None and source.op in _VARIABLES
        if source.op != "Identity" or not source.input:
            return False
        behind = self._producer(source.input[0])
        return behind is not None and behind.op in _VARIABLES

    def _producer(self, name: str) -> Optional[node_def_pb2.NodeDef]:
        index = self.index_of.get(split_tensor(name)[0])
        return None if index is None else self.nodes[index]

    def _vertices(self, index: int, node: _Described) -> list[Vertex]:
        kind = node.kind
        place = self._place(node.device)
        device = "" if place is None else place[0]
        kernel_ok = kind.kernel_ok(self.kernels, device, node.label, self.target)
        return [
            Vertex(index, one.attribute, one.element, dtype, type_ok, has_kernel)
            for one, dtype, type_ok, has_kernel in zip(
                kind.types.ids, kind.dtypes, kind.type_ok, kernel_ok
            )
        ]

    def _edges(self, nodes: list[_Described], first: list[int]) -> list[Edge]:
        """Data edges; ``first`` is each node's first vertex."""
        edges = []
        for index, node in enumerate(nodes):
            target, inputs = first[index], node.kind.input_vertices
            for port, name in enumerate(node.inputs):
                source, source_port = self.index_of.get(name), 0
                if source is None:
                    source_name, source_port = split_tensor(name)
                    source = self.index_of.get(source_name)
                outputs = () if source is None else nodes[source].kind.output_vertices
                if source is None or source_port >= len(outputs):
                    raise RewriteError(f"input {name} of {node.info.name} does not exist")
                source_vertex = first[source] + outputs[source_port]
                edges.append(Edge(source_vertex, source_port, target + inputs[port], port))
        return edges


def _as_v2(node: node_def_pb2.NodeDef) -> node_def_pb2.NodeDef:
    """A copy of a BatchNorm node as the second version of its op."""
    converted = node_def_pb2.NodeDef()
    converted.CopyFrom(node)
    convert_batch_norm(converted)
    return converted


def convert_batch_norm(node: node_def_pb2.NodeDef) -> None:
    """Makes a BatchNorm node the second version of its op, in place; its scale stays float32."""
    node.op = BATCH_NORM_V2[node.op]
    node.attr["U"].type = types_pb2.DT_FLOAT
