"""One FP32 run of a model with TensorFlow's own trace: how often nodes ran, which shapes they gave.

Shapes are those of tensors that existed, not inferred ones: branches that are not taken have none,
and a loop's nodes are counted.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Optional

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, step_stats_pb2
from tensorflow.core.protobuf import config_pb2

from amp_tuner.graph.traced_run import Shape, TracedNode, TracedRun
from amp_tuner.runtime.batches import Feed
from amp_tuner.runtime.loader import open_served
from amp_tuner.runtime.loader_model import ServedModel

#: What oneDNN's pass makes one node of with what reads it.
_MERGED = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "Pad", "Transpose")
_READER = "/amp_tuner_traced"
_Found = dict[str, tuple[int, list[Optional[Shape]]]]


def traced_run(model: ServedModel, feed: Feed, config: config_pb2.ConfigProto) -> TracedRun:
    """Runs ``model`` once on ``feed``.

    Args:
        model: with a graph of its own; the trace lists its nodes in order.
        feed: a batch, one value per input.
        config: the session's; its optimisations are switched off.
    """
    assert model.graph_def is not None
    _switch_off_optimisation(config)
    session = open_served(replace(model, graph_def=_kept_apart(model.graph_def)), config)
    try:
        feeds = {model.feeds[info.name]: value for info, value in zip(model.inputs, feed)}
        found = _run(session, list(model.fetches.values()), feeds)
        for tensor, value in feeds.items():
            found[tensor.split(":")[0]] = (1, [tuple(value.shape)])
    finally:
        session.close()
    return TracedRun(
        len(feed[0]),
        tuple(
            TracedNode(*_of(found, node.name), attributes=_attributes(node))
            for node in model.graph_def.node
        ),
    )


def _kept_apart(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A copy in which oneDNN's own pass, which cannot be switched off, makes no node of two.

    It leaves nodes alone that are read twice: each gets one more reader, which the others wait for.
    """
    copied = graph_pb2.GraphDef()
    copied.CopyFrom(graph_def)
    merged = {node.name: node for node in copied.node if node.op in _MERGED}
    for node in list(copied.node):
        read = {name.split(":")[0] for name in node.input} & merged.keys()
        node.input.extend(f"^{name}{_READER}" for name in sorted(read))
    for name, node in merged.items():
        reader = copied.node.add(name=name + _READER, op="Shape", input=[name], device=node.device)
        reader.attr["T"].CopyFrom(node.attr["T"])
    return copied


def _switch_off_optimisation(config: config_pb2.ConfigProto) -> None:
    """Every node of the graph runs, under its own name."""
    options = config.graph_options
    options.rewrite_options.disable_meta_optimizer = True
    options.optimizer_options.opt_level = config_pb2.OptimizerOptions.L0


def _run(session: tf.compat.v1.Session, fetches: list[Any], feeds: dict[str, Any]) -> _Found:
    options = config_pb2.RunOptions(trace_level=config_pb2.RunOptions.SOFTWARE_TRACE)
    metadata = config_pb2.RunMetadata()
    session.run(fetches, feeds, options=options, run_metadata=metadata)
    found: _Found = {}
    for device in metadata.step_stats.dev_stats:
        for stats in device.node_stats:
            runs, shapes = found.get(stats.node_name, (0, []))
            # What a branch leaves out is traced as well, but it gives nothing.
            ran = bool(stats.output)
            found[stats.node_name] = (runs + ran, _larger(shapes, _shapes(stats)))
    return found


def _shapes(stats: step_stats_pb2.NodeExecStats) -> list[Optional[Shape]]:
    shapes: list[Optional[Shape]] = []
    for output in stats.output:
        shapes += [None] * (output.slot + 1 - len(shapes))
        described = output.tensor_description.shape
        if not described.unknown_rank:
            shapes[output.slot] = tuple(dimension.size for dimension in described.dim)
    return shapes


def _larger(before: list[Optional[Shape]], now: list[Optional[Shape]]) -> list[Optional[Shape]]:
    """Of each port the shape with more elements: loops may give one each time round."""
    ports = range(max(len(before), len(now)))
    return [
        max(
            (shapes[port] for shapes in (before, now) if port < len(shapes)),
            key=lambda shape: -1 if shape is None else math.prod(shape),
        )
        for port in ports
    ]


def _of(found: _Found, name: str) -> tuple[int, tuple[Optional[Shape], ...]]:
    runs, shapes = found.get(name, (0, []))
    return runs, tuple(shapes)


def _attributes(node: node_def_pb2.NodeDef) -> dict[str, Any]:
    """Those that decide how much work a node is."""
    if node.op == "Einsum":
        return {"equation": node.attr["equation"].s.decode()}
    if "ksize" in node.attr:
        return {"window": math.prod(node.attr["ksize"].list.i)}
    if "strides" in node.attr:
        # To read what is not there would put it there.
        moves = [name for name in ("strides", "dilations") if name in node.attr]
        layout = node.attr["data_format"].s.decode() if "data_format" in node.attr else ""
        return {
            "steps": [step for name in moves for step in node.attr[name].list.i],
            "data_format": layout,
        }
    return {}
