"""Painting applied to a GraphDef: types changed and Casts inserted, as the real pass does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Optional

import numpy as np
from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import RuleSet
from amp_tuner.errors import InputError, Problem
from amp_tuner.graph.typed_graph import Vertex
from amp_tuner.rewrite.effective import mismatched_edges
from amp_tuner.rewrite.moved_nodes import problems_of
from amp_tuner.rewrite.paint import Painting, paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.runtime.describe import DATA_TYPES, convert_batch_norm, describe
from amp_tuner.runtime.fold_weights import fold_casts
from amp_tuner.runtime.graph_inputs import drop_double_controls
from amp_tuner.runtime.kernels import KernelTable
from amp_tuner.runtime.node_types import OpDefs, attribute_value

_SHORT_NAMES = {"bfloat16": "Bf16", "float16": "Fp16"}


def rewrite_graph(
    graph_def: graph_pb2.GraphDef,
    rules: RuleSet,
    lists: AmpLists,
    level: str = "default",
    preserved: Collection[str] = (),
    default_device: Optional[str] = None,
    fold_weights: bool = False,
    kernels: Optional[KernelTable] = None,
) -> graph_pb2.GraphDef:
    """What the pass of ``rules`` makes of a graph.

    Args:
        graph_def: the graph; not changed.
        rules: the pass.
        lists: its four lists.
        level: its level.
        preserved: nodes that it must not convert: feeds and fetches.
        default_device: where nodes are that name no device, see ``describe``.
        fold_weights: also store weights in 16 bits that the pass would cast on every run.
        kernels: which kernels exist, see ``describe``.

    Returns:
        A new graph with the same names; Casts are appended.

    Raises:
        InputError: a node that is moved is not there, is named twice, or cannot be 16-bit.
        RewriteError: the real pass fails on this graph with these lists.
    """
    graph = describe(graph_def, rules, preserved, default_device, kernels)
    wrong = [Problem("moves", problem) for problem in problems_of(graph, lists.nodes)]
    if wrong:
        raise InputError(wrong)
    prepared = prepare(graph, rules)
    painting = paint(prepared, lists, level)
    return apply_painting(graph_def, prepared, painting, preserved if fold_weights else None)


def apply_painting(
    graph_def: graph_pb2.GraphDef,
    prepared: PreparedGraph,
    painting: Painting,
    fold_except: Optional[Collection[str]] = None,
) -> graph_pb2.GraphDef:
    """The rewritten graph of a painting.

    Args:
        graph_def: the graph that ``prepared`` was described from; not changed.
        prepared: the same, prepared.
        painting: what to change.
        fold_except: fold casts of weights, but keep these nodes; None: do not fold.
    """
    output = graph_pb2.GraphDef()
    output.CopyFrom(graph_def)
    if prepared.graph.skipped is not None:
        return output
    for node, info in zip(output.node, prepared.graph.nodes):
        if info.op != node.op:
            convert_batch_norm(node)
    drop_double_controls(output)
    if not painting.painted.any():
        return output
    _set_types(output, prepared, painting)
    casts = _insert_casts(output, prepared, painting)
    if fold_except is not None:
        fold_casts(output, casts, fold_except)
    return output


def _set_types(output: graph_pb2.GraphDef, prepared: PreparedGraph, painting: Painting) -> None:
    target = DATA_TYPES[prepared.rules.data_type]
    op_defs = OpDefs.of(output)
    for position in np.flatnonzero(painting.painted):
        vertex: Vertex = prepared.graph.vertices[position]
        node = output.node[vertex.node]
        if vertex.attribute not in node.attr:
            op_def = op_defs.find(node.op)
            default = op_def and attribute_value(node, op_def, vertex.attribute)
            assert default, "describe has found its type"
            node.attr[vertex.attribute].CopyFrom(default)
        if vertex.element < 0:
            node.attr[vertex.attribute].type = target
        else:
            node.attr[vertex.attribute].list.type[vertex.element] = target


@dataclass
class _Names:
    """Node names of a graph, and new ones for Casts."""

    taken: set[str]
    numbered: bool

    def of_cast(self, node: str, port: int, kind: str) -> str:
        """The name that the pass gives to a Cast behind ``node:port``."""
        counter = 0
        while True:
            number = f"-{counter}" if self.numbered else ""
            name = f"{node}-{port}-CastTo{kind}{number}-AutoMixedPrecision"
            if name not in self.taken or not self.numbered:
                self.taken.add(name)
                return name
            counter += 1


def _insert_casts(
    output: graph_pb2.GraphDef, prepared: PreparedGraph, painting: Painting
) -> list[str]:
    """Appends one Cast per output port that another colour reads; returns their names."""
    vertices = prepared.graph.vertices
    readers: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for position in np.flatnonzero(mismatched_edges(prepared, painting)):
        edge = prepared.graph.edges[position]
        readers[edge.source, edge.source_port].append(
            (vertices[edge.target].node, edge.target_port)
        )
    names = _Names({node.name for node in output.node}, prepared.rules.numbers_casts)
    nodes = list(output.node)
    casts = []
    for (source, port), consumers in sorted(readers.items()):
        producer = nodes[vertices[source].node]
        to_16bit = not painting.allow[source]
        kind = _SHORT_NAMES[prepared.rules.data_type] if to_16bit else "Fp32"
        name = names.of_cast(producer.name, port, kind)
        output.node.append(_cast(name, producer, port, prepared.rules.data_type, to_16bit))
        casts.append(name)
        for consumer, input_port in consumers:
            nodes[consumer].input[input_port] = name
    return casts


def _cast(
    name: str, producer: node_def_pb2.NodeDef, port: int, data_type: str, to_16bit: bool
) -> node_def_pb2.NodeDef:
    ends = (types_pb2.DT_FLOAT, DATA_TYPES[data_type])
    source, target = ends if to_16bit else ends[::-1]
    cast = node_def_pb2.NodeDef(name=name, op="Cast", device=producer.device)
    cast.input.append(producer.name if port == 0 else f"{producer.name}:{port}")
    cast.attr["SrcT"].type = source
    cast.attr["DstT"].type = target
    cast.attr["Truncate"].b = False
    return cast
