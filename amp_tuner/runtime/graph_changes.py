"""What a pass did to a GraphDef, and how heavy one is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2


class TypeAttribute(NamedTuple):
    """A float32 type attribute (or list element; -1 for a single one) that became another."""

    node: str
    attribute: str
    position: int
    data_type: str


def changed_type_attributes(
    before: graph_pb2.GraphDef, after: graph_pb2.GraphDef
) -> frozenset[TypeAttribute]:
    """The float32 type attributes of nodes of ``before`` that are 16-bit in ``after``.

    Constants do not count: no pass paints them, folding of weights changes them.
    """
    rewritten = {node.name: node for node in after.node}
    return frozenset(
        change
        for node in before.node
        if node.op != "Const" and node.name in rewritten
        for change in _changes(node, rewritten[node.name])
    )


def differences_of(
    predicted: frozenset[TypeAttribute], real: frozenset[TypeAttribute]
) -> tuple[str, ...]:
    """One text for each type attribute that only one of two rewrites converted, sorted."""
    return tuple(
        f"{one.node} {one.attribute}{'' if one.position < 0 else f'[{one.position}]'}: "
        + (f"{one.data_type}, predicted was float32" if one in real else f"not {one.data_type}")
        for one in sorted(predicted ^ real)
    )


def _changes(before: node_def_pb2.NodeDef, after: node_def_pb2.NodeDef) -> Iterator[TypeAttribute]:
    for name, value in before.attr.items():
        if name not in after.attr:
            continue
        old, new = (
            [value.type, *value.list.type],
            [after.attr[name].type, *after.attr[name].list.type],
        )
        for position, (was, became) in enumerate(zip(old, new)):
            if was == tf.float32.as_datatype_enum != became:
                yield TypeAttribute(
                    node=before.name,
                    attribute=name,
                    position=position - 1,
                    data_type=tf.as_dtype(became).name,
                )


def weight_bytes(graph_def: graph_pb2.GraphDef) -> int:
    """Bytes of all constants and variables of known shape; strings are not counted."""
    functions = graph_def.library.function
    nodes = chain(graph_def.node, *(function.node_def for function in functions))
    return sum(map(_weight_bytes, nodes))


def _weight_bytes(node: node_def_pb2.NodeDef) -> int:
    if node.op == "Const":
        shape = node.attr["value"].tensor.tensor_shape
    elif node.op in {"VarHandleOp", "VariableV2"}:
        shape = node.attr["shape"].shape
    else:
        return 0
    elements = tf.TensorShape(shape).num_elements() or 0
    dtype = tf.as_dtype(node.attr["dtype"].type)
    return elements * dtype.size if dtype.is_numpy_compatible and dtype != tf.string else 0
