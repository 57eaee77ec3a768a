"""What a graph computes from its weights alone is worked out before the weights leave the graph.

TensorFlow and XLA do so with the constants of a baked model. Weights that are arguments would be
computed with on every run, and a little differently: batch norm's factors, say, by the device's own
reciprocal square root.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2
from tensorflow.python.framework import op_def_registry

from amp_tuner.runtime.graph_inputs import split_tensor
from amp_tuner.runtime.loader_graph import FLOATS, as_placeholder, by_name, imported, pruned
from amp_tuner.runtime.outside_weights import is_outside

_NORMS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
#: Ops that compute nothing: what they make of a weight would be the same weight once more.
_MOVES = frozenset(
    {"Identity", "Snapshot", "StopGradient", "Reshape", "ExpandDims", "Squeeze", "Transpose"}
)


def is_weight(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node is a constant of several floating-point numbers, or outside the graph."""
    if node.op != "Const":
        return False
    several = math.prod(shape_of(node)) > 1
    return is_outside(node) or (several and node.attr["dtype"].type in FLOATS)


def shape_of(constant: node_def_pb2.NodeDef) -> tuple[int, ...]:
    """A constant's sides; empty for a scalar."""
    return tuple(side.size for side in constant.attr["value"].tensor.tensor_shape.dim)


def fold_constants(graph_def: graph_pb2.GraphDef, fetches: Collection[str]) -> None:
    """Turns what is computed from weights alone into weights, in place.

    TensorFlow's kernels compute it, as they do when TensorFlow folds a baked model's constants.
    What is larger than all that it is computed from stays as it is, and so does what only moves a
    weight's values.

    Args:
        graph_def: a graph without control edges and without the nodes that are fed; batch norm's
            inference is taken apart in it.
        fetches: tensors that must stay.

    Raises:
        InputError: TensorFlow refuses the graph.
        tf.errors.OpError: TensorFlow cannot compute it.
    """
    read = {split_tensor(name) for node in graph_def.node for name in node.input}
    read |= {split_tensor(name) for name in fetches}
    statistics = {name for name, port in read if port > 0}
    for node in list(graph_def.node):
        if node.op in _NORMS and not node.attr["is_training"].b and node.name not in statistics:
            _take_apart(node, graph_def)
    names = _computed_from_weights(graph_def)
    nodes = by_name(graph_def.node)
    for name, value in zip(names, _values(graph_def, names)):
        _become(nodes[name], "Const", dtype=value.dtype)
        del nodes[name].input[:]
        nodes[name].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def _values(graph_def: graph_pb2.GraphDef, names: Sequence[str]) -> Sequence[tf.Tensor]:
    """What nodes that read constants alone give."""
    if not names:
        return ()
    part = pruned(graph_def, names)

    def compute() -> Sequence[tf.Tensor]:
        elements = [f"{name}:0" for name in names]
        found: Sequence[tf.Tensor] = tf.graph_util.import_graph_def(
            part, return_elements=elements, name=""
        )
        return found

    values: Sequence[tf.Tensor] = tf.function(compute, autograph=False)()
    return values


def _computed_from_weights(graph_def: graph_pb2.GraphDef) -> list[str]:
    """The last nodes that read weights and other constants alone, and compute."""
    constant = _constant_part(graph_def)
    nodes = by_name(constant.node)
    elements: dict[str, int] = {}
    of_weights: set[str] = set()
    computed: set[str] = set()
    # In the order in which they read each other.
    for operation in imported(_outline(constant), "$.model").get_operations():
        node = nodes[operation.name]
        sources = {split_tensor(name)[0] for name in node.input}
        size = operation.outputs[0].shape.num_elements()
        most = max((elements[name] for name in sources if name in elements), default=size)
        if size is None or size > most or not sources <= elements.keys():
            continue
        elements[node.name] = size
        if is_weight(node) or of_weights & sources:
            of_weights.add(node.name)
            if computed & sources or (sources and node.op not in _MOVES):
                computed.add(node.name)
    others = (node for node in graph_def.node if node.name not in computed)
    read = {split_tensor(name)[0] for node in others for name in node.input}
    return [name for name in elements if name in computed and name in read]


def _constant_part(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The nodes that constants in the graph alone decide over."""
    nodes = by_name(graph_def.node)
    readers: dict[str, list[str]] = {}
    waiting = []
    for node in graph_def.node:
        sources = [split_tensor(name)[0] for name in node.input]
        for source in sources:
            readers.setdefault(source, []).append(node.name)
        if is_outside(node) or not _is_pure(node) or not nodes.keys() >= set(sources):
            waiting.append(node.name)
    varying = set(waiting)
    while waiting:
        new = set(readers.get(waiting.pop(), ())) - varying
        varying |= new
        waiting.extend(new)
    part = graph_pb2.GraphDef(versions=graph_def.versions)
    part.node.extend(node for node in graph_def.node if node.name not in varying)
    return part


def _outline(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph without its weights' values, which shapes do not depend on."""
    outline = graph_pb2.GraphDef(versions=graph_def.versions)
    outline.node.extend(
        as_placeholder(node) if is_weight(node) else node for node in graph_def.node
    )
    return outline


def _is_pure(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node has one output, which its inputs alone decide over."""
    op_def = op_def_registry.get(node.op)
    if op_def is None or op_def.is_stateful or len(op_def.output_arg) != 1:
        return False
    if not op_def.input_arg and node.op != "Const":
        return False
    output = op_def.output_arg[0]
    return not output.number_attr and not output.type_list_attr


def _take_apart(norm: node_def_pb2.NodeDef, graph_def: graph_pb2.GraphDef) -> None:
    """Writes batch norm's inference as a product and a sum, as XLA does.

    ``x * factor + shift`` with ``root = 1 / sqrt(variance + epsilon)``, ``factor = scale * root``
    and ``shift = offset - mean * scale * root``, rounded in the order in which XLA's
    ``BatchNormExpander`` and simplifier leave them.
    """
    outer = norm.attr["T"].type
    inner = norm.attr["U"].type if "U" in norm.attr else outer
    layout = norm.attr["data_format"].s.decode() or "NHWC"
    epsilon = norm.attr["epsilon"].f
    x, scale, offset, mean, variance = norm.input
    new = _Nodes(graph_def, norm.name, inner)
    deviation = new.node("Sqrt", new.node("AddV2", variance, new.constant(epsilon, inner)))
    # Not Rsqrt, which TensorFlow's kernel rounds less well than XLA does.
    root = new.node("RealDiv", new.constant(1, inner), deviation)
    factor = new.node("Mul", scale, root)
    shift = new.node("Sub", offset, new.node("Mul", new.node("Mul", mean, scale), root))
    if layout.startswith("NC"):
        shape = new.constant([-1] + [1] * (len(layout) - 2), types_pb2.DT_INT32)
        factor, shift = (new.reshaped(vector, shape) for vector in (factor, shift))
    product = new.node("Mul", new.cast(x, outer, inner), factor)
    del norm.input[:]
    if outer == inner:
        _become(norm, "AddV2", T=inner)
        norm.input.extend([product, shift])
    else:
        _become(norm, "Cast", SrcT=inner, DstT=outer)
        norm.input.append(new.node("AddV2", product, shift))


class _Nodes:
    """New nodes that stand for one of a graph's, of one data type."""

    def __init__(self, graph_def: graph_pb2.GraphDef, stem: str, data_type: int) -> None:
        self._graph_def = graph_def
        self._type = data_type
        self._names = _fresh(stem, {node.name for node in graph_def.node})

    def node(self, op_type: str, *inputs: str) -> str:
        made = self._graph_def.node.add(name=next(self._names), input=inputs)
        _become(made, op_type, T=self._type)
        return str(made.name)

    def cast(self, source: str, outer: int, inner: int) -> str:
        if outer == inner:
            return source
        made = self._graph_def.node.add(name=next(self._names), input=[source])
        _become(made, "Cast", SrcT=outer, DstT=inner)
        return str(made.name)

    def reshaped(self, source: str, shape: str) -> str:
        made = self.node("Reshape", source, shape)
        self._graph_def.node[-1].attr["Tshape"].type = types_pb2.DT_INT32
        return made

    def constant(self, value: Any, data_type: int) -> str:
        made = self._graph_def.node.add(name=next(self._names))
        _become(made, "Const", dtype=data_type)
        made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, data_type))
        return str(made.name)


def _become(node: node_def_pb2.NodeDef, op_type: str, **types: Any) -> None:
    """Makes a node one of another op type; its inputs stay."""
    node.op = op_type
    node.attr.clear()
    for attribute, data_type in types.items():
        node.attr[attribute].type = tf.as_dtype(data_type).as_datatype_enum


def _fresh(stem: str, taken: Collection[str]) -> Iterator[str]:
    names = (f"{stem}/{number}" for number in itertools.count(1))
    return (name for name in names if name not in taken)
