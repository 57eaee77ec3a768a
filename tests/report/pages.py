"""Pages of small graphs, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.report.graph_page import graph_page, page_data
from amp_tuner.rewrite.explain import explain
from amp_tuner.rewrite.paint import paint
from tests.rewrite.painted import prepared_graph

RULES = rule_set("tf-cpu-float16")


def parts_of(graph_def: graph_pb2.GraphDef, moves: Mapping[str, str] | None = None):
    prepared = prepared_graph(graph_def, RULES)
    lists = RULES.lists.moved(moves or {})
    return prepared, paint(prepared, lists), lists, explain(prepared, lists)


def data_of(graph_def: graph_pb2.GraphDef, moves: Mapping[str, str] | None = None):
    return page_data(["one line"], *parts_of(graph_def, moves))


def page_of(
    graph_def: graph_pb2.GraphDef, title: str = "a graph", summary: Sequence[str] = ("one line",)
) -> str:
    return graph_page(title, summary, *parts_of(graph_def))
