"""Shapes of a graph's tensors, found without running it."""

from __future__ import annotations

from dataclasses import replace

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from amp_tuner.graph.typed_graph import Shapes, TypedGraph
from amp_tuner.runtime.loader_graph import as_placeholder, claimed_bytes

_INPUTS = ("Placeholder", "PlaceholderWithDefault")
#: Constants above this size are weights: no shape depends on their values.
_LARGE_BYTES = 4096


def with_shapes(graph: TypedGraph, graph_def: graph_pb2.GraphDef, batch_size: int) -> TypedGraph:
    """``graph`` with the shapes of its float32 tensors, as TensorFlow's shape functions give them.

    A graph that TensorFlow refuses to import has no shapes; ``problem`` says why.

    Args:
        graph: described from ``graph_def``.
        graph_def: the graph; not changed.
        batch_size: what a free first dimension of an input is taken to be.
    """
    small, is_free = _with_batch_size(graph_def, batch_size)
    used = batch_size if is_free else None
    imported = tf.Graph()
    try:
        with imported.as_default():
            tf.import_graph_def(small, name="")
    except (ValueError, tf.errors.OpError) as error:
        problem = str(error).splitlines()[0][:300]
        return replace(graph, shapes=Shapes(used, {}, problem))
    ports = {
        (graph.vertices[edge.source].node, edge.source_port)
        for edge in graph.edges
        if graph.vertices[edge.source].dtype == "float32"
    }
    found = {}
    for node, port in sorted(ports):
        operation = imported.get_operation_by_name(graph.nodes[node].name)
        shape = operation.outputs[port].shape
        if shape.is_fully_defined():
            found[node, port] = tuple(shape.as_list())
    return replace(graph, shapes=Shapes(used, found))


def _with_batch_size(
    graph_def: graph_pb2.GraphDef, batch_size: int
) -> tuple[graph_pb2.GraphDef, bool]:
    """A copy without weights, of that batch size; and whether some input left it free."""
    small = graph_pb2.GraphDef(library=graph_def.library, versions=graph_def.versions)
    is_free = False
    for node in graph_def.node:
        if node.op == "Const" and claimed_bytes(node) > _LARGE_BYTES:
            small.node.append(as_placeholder(node))
            continue
        copied = small.node.add()
        copied.CopyFrom(node)
        dimensions = copied.attr["shape"].shape.dim if node.op in _INPUTS else ()
        if dimensions and dimensions[0].size == -1:
            dimensions[0].size = batch_size
            is_free = True
    return small, is_free
