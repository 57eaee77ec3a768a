"""Weights stored in 16 bits: a Cast of a constant becomes a constant of the Cast's type."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Optional

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import (
    graph_pb2,
    node_def_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)

from amp_tuner.runtime.graph_inputs import producer
from amp_tuner.runtime.outside_weights import ATTRIBUTE, empty_tensor, is_outside

_HALVES = (types_pb2.DT_BFLOAT16, types_pb2.DT_HALF)


def fold_casts(
    graph_def: graph_pb2.GraphDef, casts: Iterable[str], preserved: Collection[str]
) -> None:
    """Turns Casts of float32 constants to 16 bits into 16-bit constants, in place.

    A constant may be behind Identities. The new constant takes the Cast's name, so consumers stay
    as they are; the old one goes if nobody else reads it. Values round to nearest, ties to even, as
    the Cast does: outputs are equal bit for bit.

    Args:
        graph_def: the graph.
        casts: names of the Casts that may be folded.
        preserved: nodes that must stay.
    """
    nodes = {node.name: node for node in graph_def.node}
    candidates: set[str] = set()
    for name in casts:
        cast = nodes[name]
        if cast.attr["DstT"].type not in _HALVES or cast.attr["SrcT"].type != types_pb2.DT_FLOAT:
            continue
        chain = _constant_behind(cast, nodes)
        if chain:
            _become_constant(cast, chain)
            candidates |= {node.name for node in chain}
    _remove_unread(graph_def, candidates - {producer(name) for name in preserved})


def _constant_behind(
    cast: node_def_pb2.NodeDef, nodes: dict[str, node_def_pb2.NodeDef]
) -> Optional[list[node_def_pb2.NodeDef]]:
    """The Identities before a Cast and the constant that they start at; None if there is none."""
    chain = [nodes[producer(cast.input[0])]]
    while chain[-1].op == "Identity":
        chain.append(nodes[producer(chain[-1].input[0])])
    return chain if chain[-1].op == "Const" else None


def _become_constant(cast: node_def_pb2.NodeDef, chain: list[node_def_pb2.NodeDef]) -> None:
    data_type = cast.attr["DstT"].type
    constant = chain[-1]
    controls = (name for node in chain for name in node.input if name.startswith("^"))
    inputs = list(dict.fromkeys(controls))
    cast.op = "Const"
    del cast.input[:]
    cast.input.extend(inputs)  # they keep the constant in its loop's frame
    cast.attr.clear()
    cast.attr["dtype"].type = data_type
    content = constant.attr["value"].tensor
    if is_outside(constant):
        cast.attr[ATTRIBUTE].CopyFrom(constant.attr[ATTRIBUTE])
        folded = empty_tensor(content.tensor_shape, data_type)
    else:
        folded = _tensor(tf.make_ndarray(content), data_type)
    cast.attr["value"].tensor.CopyFrom(folded)


def _tensor(value: np.ndarray, data_type: int) -> tensor_pb2.TensorProto:
    with np.errstate(over="ignore"):  # beyond float16's range is infinity, as the Cast gives
        narrow = value.astype(tf.dtypes.as_dtype(data_type).as_numpy_dtype)
    shape = tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in value.shape]
    )
    return tensor_pb2.TensorProto(
        dtype=data_type, tensor_shape=shape, tensor_content=narrow.tobytes()
    )


def _remove_unread(graph_def: graph_pb2.GraphDef, candidates: set[str]) -> None:
    """Removes those of ``candidates`` that no node reads any more."""
    while True:
        read = {producer(name) for node in graph_def.node for name in node.input}
        gone = candidates - read
        if not gone:
            return
        candidates -= gone
        for position in reversed(range(len(graph_def.node))):
            if graph_def.node[position].name in gone:
                del graph_def.node[position]
