"""Short ways to a painting, for tests."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.runtime.describe import describe


def prepared_graph(
    graph_def: graph_pb2.GraphDef, rules: RuleSet, fetches: tuple[str, ...] = ("out",)
) -> PreparedGraph:
    return prepare(describe(graph_def, rules, [*fetches, "x"], rules.device_type), rules)


def painted(
    graph_def: graph_pb2.GraphDef,
    name: str = "tf-cpu-float16",
    fetches: tuple[str, ...] = ("out",),
    moves: Mapping[str, str] | None = None,
    level: str = "default",
) -> set[str]:
    """The nodes with a type attribute in 16 bits."""
    rules = rule_set(name)
    prepared = prepared_graph(graph_def, rules, fetches)
    painting = paint(prepared, rules.lists.moved(moves or {}), level)
    graph = prepared.graph
    return {
        graph.nodes[vertex.node].name
        for vertex, is_painted in zip(graph.vertices, painting.painted, strict=True)
        if is_painted
    }
