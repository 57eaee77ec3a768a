"""Hypothesis strategies: graphs that TensorFlow accepts, and settings for them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.lists import DESTINATIONS
from tests.rewrite.graphs import building, matrix, raw, unary, v1

UNARY = (
    *("Relu", "Identity", "Neg", "Abs", "StopGradient", "Tanh", "Sqrt", "Sigmoid", "Log", "Elu"),
    *(
        "Softmax",
        "Exp",
        "Square",
        "Rsqrt",
        "Erf",
        "Expm1",
        "Round",
        "LeakyRelu",
        "Cumsum",
        "Digamma",
    ),
)
BINARY = ("AddV2", "Mul", "Sub", "Maximum", "RealDiv", "Pow", "SquaredDifference", "MatMul")


def _unary(op_type, tensor):
    if op_type == "Cumsum":
        return raw.Cumsum(x=tensor, axis=0)
    return unary(op_type, tensor)


def _binary(op_type, left, right):
    if op_type == "MatMul":
        return raw.MatMul(a=left, b=right)
    return getattr(raw, op_type)(x=left, y=right)


def _batch_norm(left, right):
    image = tf.reshape(left, [1, 2, 2, 4])
    row = right[0]
    made = raw.FusedBatchNorm(
        x=image, scale=row, offset=row, mean=row, variance=row, is_training=False
    )
    return tf.reshape(made.y, [4, 4]) + made.batch_mean


def _convolution(left, right):
    image = tf.reshape(left, [1, 4, 4, 1])
    kernel = tf.reshape(right, [2, 2, 1, 4])
    return tf.reshape(
        raw.Conv2D(input=image, filter=kernel, strides=[1, 2, 2, 1], padding="SAME"), [4, 4]
    )


def _tensor_list(left, right):
    handle = raw.EmptyTensorList(element_shape=[4, 4], max_num_elements=3, element_dtype=tf.float32)
    handle = raw.TensorListPushBack(input_handle=handle, tensor=left)
    handle = raw.TensorListPushBack(input_handle=handle, tensor=right)
    return raw.TensorListPopBack(
        input_handle=handle, element_shape=[4, 4], element_dtype=tf.float32
    ).tensor


def _branch(left, right):
    no, yes = raw.Switch(data=left, pred=tf.reduce_all(left < 1.0))
    return raw.Merge(inputs=[raw.Tanh(x=no), yes]).output + right


def _loop(left, right):
    step = raw.Enter(data=left, frame_name=f"loop{left.name}{right.name}".replace(":", ""))
    other = raw.Enter(
        data=right, is_constant=True, frame_name=step.op.get_attr("frame_name").decode()
    )
    merge = raw.Merge(inputs=[step, step]).output
    stop = raw.LoopCond(input=tf.reduce_all(merge < 9.0))
    done, go = raw.Switch(data=merge, pred=stop)
    merge.op._update_input(1, raw.NextIteration(data=raw.MatMul(a=go, b=other)))
    return raw.Exit(data=done)


OTHERS = {
    "FusedBatchNorm": _batch_norm,
    "Conv2D": _convolution,
    "TensorList": _tensor_list,
    "Switch": _branch,
    "Loop": _loop,
    "IdentityN": lambda a, b: raw.AddN(inputs=list(raw.IdentityN(input=[a, b, a]))),
    "ConcatV2": lambda a, b: tf.concat([a, b], 0)[2:6],
    "Mean": lambda a, b: a + raw.Mean(input=b, axis=[0], keep_dims=True),
    "Sum": lambda a, b: a * raw.Sum(input=b, axis=[1], keep_dims=True),
    "Shape": lambda a, b: raw.Reshape(tensor=a, shape=raw.Shape(input=b)),
    "Casts": lambda a, b: tf.cast(tf.cast(a, tf.int32), tf.float32) + b,
    "Half": lambda a, b: tf.cast(tf.cast(a, tf.float16), tf.float32) @ b,
    "Bool": lambda a, b: tf.where(tf.cast(a, tf.bool), a, b),
    "ArgMax": lambda a, b: tf.gather(a, tf.argmax(b, axis=1)),
    "OneHot": lambda a, b: tf.one_hot(tf.argmax(b, axis=1), 4) @ a,
    "Einsum": lambda a, b: raw.Einsum(inputs=[a, b], equation="ij,jk->ik"),
    "Split": lambda a, b: tf.concat(tf.split(a, 2), 0) + tf.split(b, 4)[0],
    "Variable": lambda a, b: a @ raw.Identity(input=raw.VariableV2(shape=[4, 4], dtype=tf.float32)),
    "TopK": lambda a, b: raw.TopKV2(input=a, k=4).values + b,
    "SparseMatMul": lambda a, b: raw.SparseMatMul(a=a, b=b),
}
CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
DEVICES = ("", "", "", "", CPU, "/cpu:0", "/device:CPU:*", "/device:GPU:0", "/job:localhost")


@st.composite
def graphs(draw) -> tuple[graph_pb2.GraphDef, list[str]]:
    """A graph and its fetches. Nodes are in any order, on any device, with control inputs."""
    with building() as graph:
        tensors = [v1.placeholder(tf.float32, [4, 4], "x"), matrix(), matrix(2.0)]
        pool = st.sampled_from((*UNARY, *BINARY, *OTHERS))
        for kind in draw(st.lists(pool, min_size=2, max_size=18)):
            # Recent tensors are likelier, which makes chains.
            left, right = (
                tensors[max(0, len(tensors) - draw(st.integers(1, reach)))] for reach in (2, 9)
            )
            if kind in UNARY:
                tensors.append(_unary(kind, left))
            elif kind in BINARY:
                tensors.append(_binary(kind, left, right))
            else:
                tensors.append(OTHERS[kind](left, right))
        tf.identity(tensors[-1], name="out")
    graph_def = graph.as_graph_def()
    names = [node.name for node in graph_def.node]
    fetches = ["out", *draw(st.lists(st.sampled_from(names), max_size=2, unique=True))]
    if draw(st.booleans()):
        _disturb(draw, graph_def)
    return graph_def, fetches


def _disturb(draw, graph_def: graph_pb2.GraphDef) -> None:
    """Another order, other devices, control inputs; in place."""
    nodes = list(graph_def.node)
    for node in nodes:
        if draw(st.integers(0, 4)) == 0:
            node.device = draw(st.sampled_from(DEVICES))
    for position in draw(st.lists(st.integers(1, len(nodes) - 1), max_size=4)):
        # Only on an earlier node, so that no cycle comes in.
        source = nodes[draw(st.integers(0, position - 1))].name
        nodes[position].input.extend([f"^{source}"] * draw(st.integers(1, 2)))
    order = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(len(nodes))
    shuffled = [nodes[position] for position in order]
    copies = [type(node).FromString(node.SerializeToString()) for node in shuffled]
    del graph_def.node[:]
    graph_def.node.extend(copies)


@st.composite
def moves(draw, graph_def: graph_pb2.GraphDef) -> dict[str, str]:
    """Moves of op types that are in the graph; often none, sometimes most of them."""
    op_types = sorted({node.op for node in graph_def.node})
    chosen = draw(st.lists(st.sampled_from(op_types), unique=True, max_size=len(op_types)))
    return {op_type: draw(st.sampled_from(DESTINATIONS)) for op_type in chosen}
