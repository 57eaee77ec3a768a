"""From a GraphDef to the typed graph that painting works on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Optional

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, op_def_pb2, types_pb2

from amp_tuner.amp.rules import RuleSet
from amp_tuner.errors import RewriteError
from amp_tuner.graph.typed_graph import Edge, TypedGraph, TypedNode, Vertex
from amp_tuner.runtime.devices import full_device, parse_device
from amp_tuner.runtime.graph_inputs import split_tensor
from amp_tuner.runtime.kernels import KernelTable, kernel_table
from amp_tuner.runtime.node_types import (
    NodeTypes,
    OpDefs,
    TypeId,
    allows_type,
    attribute_value,
    node_types,
    registered,
    type_of,
)

#: Numbers of the 16-bit types in TensorFlow's DataType.
DATA_TYPES = {"bfloat16": types_pb2.DT_BFLOAT16, "float16": types_pb2.DT_HALF}
#: What the passes turn BatchNorm ops into, so that their scale can stay float32.
BATCH_NORM_V2 = {
    "FusedBatchNorm": "FusedBatchNormV2",
    "FusedBatchNormGrad": "FusedBatchNormGradV2",
}
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
_QUANTIZED = frozenset(
    {
        types_pb2.DT_QINT8,
        types_pb2.DT_QUINT8,
        types_pb2.DT_QINT16,
        types_pb2.DT_QUINT16,
        types_pb2.DT_QINT32,
    }
)
_REINTERPRETING = frozenset({"Bitcast", "DecodePaddedRaw", "DecodeRaw"})


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


@dataclass(frozen=True)
class _Described:
    """A node with what its definition says.

    ``proto`` is the node as the pass sees it (V2 for BatchNorm), ``type_def`` the definition that
    its type test knows (None for a function under TensorFlow's rules).
    """

    proto: node_def_pb2.NodeDef
    op_def: op_def_pb2.OpDef
    type_def: Optional[op_def_pb2.OpDef]
    types: NodeTypes
    device: str
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
        self.op_defs = OpDefs.of(graph_def)
        self.target = DATA_TYPES[rules.data_type]
        self.producers = {node.name: node for node in graph_def.node}

    def describe(self) -> TypedGraph:
        nodes = [self._node(node) for node in self.graph_def.node]
        vertices: list[Vertex] = []
        positions: list[dict[TypeId, int]] = []
        for index, node in enumerate(nodes):
            positions.append({})
            for type_id in node.types.ids:
                positions[-1][type_id] = len(vertices)
                vertices.append(self._vertex(index, node, type_id))
        return TypedGraph(
            rules=self.rules.identifier,
            kernel_source=self.kernels.source,
            skipped=self._skipped(nodes),
            nodes=tuple(node.info for node in nodes),
            vertices=tuple(vertices),
            edges=tuple(self._edges(nodes, positions)),
        )

    def _skipped(self, nodes: list[_Described]) -> Optional[str]:
        gate = self.rules.gate
        if not gate or any(part in node.proto.op for node in nodes for part in gate):
            return None
        return f"no op type contains one of {', '.join(gate)}"

    def _node(self, node: node_def_pb2.NodeDef) -> _Described:
        device = node.device or self.default_device
        processable = node.name not in self.preserved and self._on_device(device)
        if processable and node.op in BATCH_NORM_V2:
            node = _as_v2(node)
        op = node.op
        op_def = self.op_defs.find(op)
        if op_def is None:
            raise RewriteError(f"{node.name}: unknown op {op}")
        types = node_types(node, op_def, self.rules.tolerated_attributes)
        inputs = [name for name in node.input if not name.startswith("^")]
        if len(inputs) != len(types.inputs):
            raise RewriteError(
                f"{node.name} ({op}) has {len(inputs)} inputs; its op takes {len(types.inputs)}"
            )
        global_def = registered(op)
        held = {type_of(node, op_def, type_id) for type_id in types.ids}
        info = TypedNode(
            name=node.name,
            op=op,
            processable=processable,
            forceable=_can_be_forced(global_def),
            reads_variable=self._reads_variable(node),
            quantized=not held.isdisjoint(_QUANTIZED),
            boundary=op in _BOUNDARIES or op in self.op_defs.functions,
            tunable=_is_tunable(node, global_def, held, has_inputs=bool(inputs)),
            kept=node.name in self.preserved,
        )
        type_def = op_def if self.rules.types_of_functions else global_def
        return _Described(node, op_def, type_def, types, device, info)

    def _on_device(self, device: str) -> bool:
        parsed = parse_device(device)
        if parsed is None or parsed[1] is None:
            return False
        return self.rules.device_type in parsed[0]

    def _reads_variable(self, node: node_def_pb2.NodeDef) -> bool:
        """An Identity of a non-resource variable, or an Enter of such an Identity."""
        if node.op not in ("Identity", "Enter") or not node.input:
            return False
        source = self.producers.get(split_tensor(node.input[0])[0])
        if source is None:
            return False
        if node.op == "Identity":
            return source.op in ("Variable", "VariableV2")
        return self._reads_variable(source)

    def _vertex(self, index: int, node: _Described, type_id: TypeId) -> Vertex:
        data_type = type_of(node.proto, node.op_def, type_id)
        type_ok = allows_type(node.type_def, type_id, self.target)
        return Vertex(
            node=index,
            attribute=type_id.attribute,
            element=type_id.element,
            dtype=type_name(data_type),
            type_ok=type_ok,
            kernel_ok=type_ok and bool(type_id.attribute) and self._kernel_ok(node, type_id),
        )

    def _kernel_ok(self, node: _Described, type_id: TypeId) -> bool:
        """Whether a kernel exists with just this attribute in 16 bits."""
        parsed = parse_device(node.device)
        if parsed is None:
            return False
        label = node.proto.attr["_kernel"].s.decode() if "_kernel" in node.proto.attr else ""
        types = _all_types(node)
        values = list(types[type_id.attribute])
        values[max(type_id.element, 0)] = self.target
        types[type_id.attribute] = tuple(values)
        return self.kernels.has_kernel(node.info.op, parsed[0], label, types)

    def _edges(self, nodes: list[_Described], positions: list[dict[TypeId, int]]) -> list[Edge]:
        index_of = {node.name: index for index, node in enumerate(self.graph_def.node)}
        edges = []
        for index, node in enumerate(nodes):
            inputs = (name for name in node.proto.input if not name.startswith("^"))
            for port, (name, type_id) in enumerate(zip(inputs, node.types.inputs)):
                source_name, source_port = split_tensor(name)
                source = index_of.get(source_name)
                if source is None or source_port >= len(nodes[source].types.outputs):
                    raise RewriteError(f"input {name} of {node.proto.name} does not exist")
                source_id = nodes[source].types.outputs[source_port]
                edges.append(
                    Edge(positions[source][source_id], source_port, positions[index][type_id], port)
                )
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


@cache
def type_name(data_type: int) -> str:
    """TensorFlow's name of a type by its number: ``float32``; ``invalid`` for none."""
    if data_type == types_pb2.DT_INVALID:
        return "invalid"
    try:
        return str(tf.dtypes.as_dtype(data_type).name)
    except TypeError:  # a type that this TensorFlow has in its protocol but not in Python
        return f"type{data_type}"


def _all_types(node: _Described) -> dict[str, tuple[int, ...]]:
    """The types of all of a node's type attributes, by name."""
    types: dict[str, tuple[int, ...]] = {}
    for attribute in {type_id.attribute for type_id in node.types.ids if type_id.attribute}:
        value = attribute_value(node.proto, node.op_def, attribute)
        assert value is not None, "node_types has checked it"
        types[attribute] = tuple(value.list.type) if value.list.type else (value.type,)
    return types


def _can_be_forced(op_def: Optional[op_def_pb2.OpDef]) -> bool:
    """What level unsafe_force_all converts: no state, no references, a registered op."""
    if op_def is None or op_def.is_stateful:
        return False
    if op_def.name in ("Const", "SoftmaxCrossEntropyWithLogits"):
        return False
    return not any(argument.is_ref for argument in (*op_def.input_arg, *op_def.output_arg))


def _is_tunable(
    node: node_def_pb2.NodeDef,
    op_def: Optional[op_def_pb2.OpDef],
    held: Collection[int],
    *,
    has_inputs: bool,
) -> bool:
    if not has_inputs or not _can_be_forced(op_def) or node.op in _REINTERPRETING:
        return False
    if types_pb2.DT_RESOURCE in held:
        return False
    kinds = (value.WhichOneof("value") for value in node.attr.values())
    return "func" not in kinds
