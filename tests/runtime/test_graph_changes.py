from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from amp_tuner.runtime.graph_changes import (
    TypeAttribute,
    changed_type_attributes,
    weight_bytes,
)

FLOAT, HALF, INT = (dtype.as_datatype_enum for dtype in (tf.float32, tf.float16, tf.int32))


def graph(**types: Any) -> graph_pb2.GraphDef:
    """A node for each name: its attribute T, or a list of types."""
    graph_def = graph_pb2.GraphDef()
    for name, value in types.items():
        node = graph_def.node.add(name=name, op=name.split("_")[0])
        if isinstance(value, list):
            node.attr["T"].list.type.extend(value)
        else:
            node.attr["T"].type = value
    return graph_def


def test_what_was_float32_and_is_not_any_more_counts() -> None:
    before = graph(MatMul=FLOAT, Relu=FLOAT, Shape=INT)
    after = graph(MatMul=HALF, Relu=FLOAT, Shape=INT)
    assert changed_type_attributes(before, after) == {TypeAttribute("MatMul", "T", -1, "float16")}


def test_elements_of_lists_count_one_by_one() -> None:
    changed = changed_type_attributes(
        graph(IdentityN=[FLOAT, INT, FLOAT]), graph(IdentityN=[HALF, INT, HALF])
    )
    assert {change.position for change in changed} == {0, 2}


def test_new_nodes_gone_nodes_and_constants_do_not_count() -> None:
    before = graph(Const=FLOAT, Relu=FLOAT)
    assert changed_type_attributes(before, graph(Const=HALF, Cast=HALF)) == set()


def test_weights_are_constants_and_variables() -> None:
    with tf.Graph().as_default() as made:
        tf.constant(np.ones((3, 5), np.float32))
        tf.constant(["strings", "have no fixed size"])
        tf.raw_ops.VarHandleOp(dtype=tf.float16, shape=[7, 2])
        tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=None)
    assert weight_bytes(made.as_graph_def()) == 3 * 5 * 4 + 7 * 2 * 2
