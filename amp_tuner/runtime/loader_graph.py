"""Walks over a GraphDef: what a node reads, which functions it calls, what a fetch needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import op_def_registry

from amp_tuner.errors import InputError

#: What one protobuf message can hold.
MESSAGE_LIMIT_BYTES = 2**31 - 1
#: Constants below this are no burden; TensorFlow reads shapes out of them.
_SMALL_BYTES = 4096
_SWOLLEN = 4
#: Types of weights.
FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_BFLOAT16, types_pb2.DT_HALF, types_pb2.DT_DOUBLE)
#: Types whose numbers a graph holds as plain bytes.
_NUMBER_BYTES = {
    data_type: int(tf.as_dtype(data_type).size)
    for data_type in (*FLOATS, types_pb2.DT_INT32, types_pb2.DT_INT64, types_pb2.DT_BOOL)
}
_LARGEST_NUMBER_BYTES = 16


def check_message_size(path: Path) -> None:
    """Refuses, without reading it, a file that cannot be one protobuf message.

    Raises:
        InputError: it is too large.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MESSAGE_LIMIT_BYTES:
        raise InputError.one(
            str(path),
            f"has {size_bytes / 2**30:.2f} GiB; a graph in one file has at most 2 GiB (protobuf's "
            "limit): give a SavedModel, whose variables lie beside the graph",
        )


def node_name(reference: str) -> str:
    """The node that a tensor (``name:1``) or a node's input (``name``, ``^name``) refers to."""
    return reference.lstrip("^").split(":")[0]


def tensor_name(reference: str) -> str:
    """``name`` as the tensor ``name:0``; a full tensor name stays as it is."""
    return reference if ":" in reference else f"{reference}:0"


def by_name(nodes: Iterable[tf.compat.v1.NodeDef]) -> dict[str, tf.compat.v1.NodeDef]:
    """The nodes by their names."""
    return {node.name: node for node in nodes}


def needed(nodes: Mapping[str, tf.compat.v1.NodeDef], roots: Iterable[str]) -> set[str]:
    """Names of all nodes that ``roots`` read, through control edges too, roots included.

    Names that no node has are left out: :func:`dangling` finds them.
    """
    waiting = [name for name in roots if name in nodes]
    found = set(waiting)
    while waiting:
        for reference in nodes[waiting.pop()].input:
            name = node_name(reference)
            if name in nodes and name not in found:
                found.add(name)
                waiting.append(name)
    return found


def dangling(graph_def: tf.compat.v1.GraphDef) -> list[str]:
    """One text for each input of a node that no node of the graph has."""
    names = {node.name for node in graph_def.node}
    return [
        f"node {node.name!r} reads {node_name(reference)!r}, which is not in the graph"
        for node in graph_def.node
        for reference in node.input
        if node_name(reference) not in names
    ]


def pruned(graph_def: tf.compat.v1.GraphDef, roots: Iterable[str]) -> tf.compat.v1.GraphDef:
    """The graph with only what ``roots`` (names of nodes) need, and the functions that it calls."""
    keep = needed(by_name(graph_def.node), roots)
    result = tf.compat.v1.GraphDef(versions=graph_def.versions)
    result.node.extend(node for node in graph_def.node if node.name in keep)
    library = {function.signature.name: function for function in graph_def.library.function}
    called = reachable_functions(result.node, library)
    result.library.function.extend(function for name, function in library.items() if name in called)
    result.library.gradient.extend(
        gradient
        for gradient in graph_def.library.gradient
        if gradient.function_name in called and gradient.gradient_func in called
    )
    return result


def without_places(graph_def: tf.compat.v1.GraphDef) -> None:
    """Clears, in place, where nodes ran when the model was made: devices and colocations."""
    for node in graph_def.node:
        node.device = ""
        node.attr.pop("_class", None)


def claimed_bytes(constant: tf.compat.v1.NodeDef) -> int:
    """Bytes that a Const's value takes in memory; in the graph, one number may stand for all."""
    return _LARGEST_NUMBER_BYTES * _elements(constant)


def broken_constants(graph_def: tf.compat.v1.GraphDef) -> list[str]:
    """One text for each Const of numbers whose bytes are not those that its shape needs."""
    problems = []
    for function, node in all_nodes(graph_def):
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is None or not tensor.tensor_content or tensor.dtype not in _NUMBER_BYTES:
            continue
        needed_bytes = _NUMBER_BYTES[tensor.dtype] * _elements(node)
        if len(tensor.tensor_content) != needed_bytes:
            problems.append(
                f"constant {full_name(function, node)!r} has {len(tensor.tensor_content)} bytes; "
                f"its shape and type need {needed_bytes}"
            )
    return problems


def _elements(constant: tf.compat.v1.NodeDef) -> int:
    shape = constant.attr["value"].tensor.tensor_shape
    return math.prod(max(0, int(side.size)) for side in shape.dim)


def as_placeholder(constant: tf.compat.v1.NodeDef) -> tf.compat.v1.NodeDef:
    """A Placeholder of a constant's name, type and shape.

    The shape of a large constant of integers is left open: where an op takes it for a shape or for
    axes, TensorFlow would make a tensor of so many dimensions.
    """
    made = tf.compat.v1.NodeDef(
        name=constant.name, op="Placeholder", input=constant.input, device=constant.device
    )
    made.attr["dtype"].CopyFrom(constant.attr["dtype"])
    if constant.attr["dtype"].type in FLOATS:
        made.attr["shape"].shape.CopyFrom(constant.attr["value"].tensor.tensor_shape)
    else:
        made.attr["shape"].shape.unknown_rank = True
    return made


def without_swollen(graph_def: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph with Placeholders for constants that are far larger in memory than in the graph.

    TensorFlow works out constants when it checks a graph: a few bytes would take any amount.
    """
    swollen = [
        node.name
        for node in graph_def.node
        if node.op == "Const"
        and claimed_bytes(node) > max(_SMALL_BYTES, _SWOLLEN * node.ByteSize())
    ]
    if not swollen:
        return graph_def
    result = tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    result.node.extend(
        as_placeholder(node) if node.name in swollen else node for node in graph_def.node
    )
    return result


def called_functions(node: tf.compat.v1.NodeDef) -> Iterator[str]:
    """Names of the functions that a node's op or attributes name (an op may be a function)."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def reachable_functions(
    nodes: Iterable[tf.compat.v1.NodeDef], library: Mapping[str, tf.compat.v1.NodeDef]
) -> set[str]:
    """Names of the library's functions that ``nodes`` call, directly or through functions."""
    found: set[str] = set()
    waiting = [name for node in nodes for name in called_functions(node) if name in library]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [
                inner
                for node in library[name].node_def
                for inner in called_functions(node)
                if inner in library
            ]
    return found


def all_nodes(
    graph_def: tf.compat.v1.GraphDef,
) -> Iterator[tuple[str, tf.compat.v1.NodeDef]]:
    """Every node with the function it is in; the empty string for the graph itself."""
    for node in graph_def.node:
        yield "", node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield function.signature.name, node


def full_name(function: str, node: tf.compat.v1.NodeDef) -> str:
    """How messages name a node: ``function/node`` inside a function."""
    return f"{function}/{node.name}" if function else str(node.name)


def unknown_ops(graph_def: tf.compat.v1.GraphDef) -> list[str]:
    """One text for each op type that neither this TensorFlow nor the graph's functions define."""
    functions = {function.signature.name for function in graph_def.library.function}
    first_node: dict[str, str] = {}
    for function, node in all_nodes(graph_def):
        if node.op not in functions:
            first_node.setdefault(node.op, full_name(function, node))
    return [
        f"op type {op_type!r} (node {name!r}) is not known to TensorFlow {tf.__version__}; allowed "
        "are its own op types, so use the TensorFlow that the model was made with or a newer one"
        for op_type, name in first_node.items()
        if op_def_registry.get(op_type) is None
    ]


def imported(graph_def: tf.compat.v1.GraphDef, where: str) -> tf.Graph:
    """A graph that holds ``graph_def``: TensorFlow has checked it and inferred its shapes.

    Raises:
        InputError: TensorFlow refuses the graph; ``where`` is the place named.
    """
    graph = tf.Graph()
    import_into(graph, graph_def, where)
    return graph


def import_into(
    graph: tf.Graph,
    graph_def: tf.compat.v1.GraphDef,
    where: str,
    input_map: Optional[Mapping[str, tf.Tensor]] = None,
) -> None:
    """Adds ``graph_def`` to a graph; ``input_map``: what nodes read in place of names.

    Raises:
        InputError: TensorFlow refuses the graph; ``where`` is the place named.
    """
    try:
        with graph.as_default():
            tf.compat.v1.import_graph_def(graph_def, name="", input_map=input_map)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise InputError.one(where, f"TensorFlow refuses the graph: {first_line(error)}") from error


def cpu_session(graph: tf.Graph) -> tf.compat.v1.Session:
    """A session for loading and writing: no accelerator's memory is taken, no device required."""
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True, device_count={"GPU": 0})
    return tf.compat.v1.Session(graph=graph, config=config)


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says something, with the error's type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
