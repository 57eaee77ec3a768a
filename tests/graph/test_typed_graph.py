from __future__ import annotations

import json
from dataclasses import replace

import pytest

from amp_tuner.amp.lists import AmpLists
from amp_tuner.graph.typed_graph import Edge, Shapes, TypedGraph, TypedNode, Vertex

NODE = TypedNode("pass", "IdentityN", True, True, False, False, False, True)
GRAPH = TypedGraph(
    rules="tf-cpu-bfloat16@2.21",
    kernel_source="a test",
    skipped=None,
    nodes=(NODE, NODE._replace(name="next", processable=False)),
    vertices=(Vertex(0, "T", 2, "float32", True, True), Vertex(1, "", -1, "int32", False, False)),
    edges=(Edge(0, 2, 1, 0),),
)


def test_json_gives_the_graph_back():
    assert TypedGraph.from_json(json.loads(json.dumps(GRAPH.to_json()))) == GRAPH


def test_json_keeps_the_lists_of_a_runtime():
    graph = replace(GRAPH, lists=AmpLists(allow=frozenset({"MatMul"})))
    assert TypedGraph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


def test_json_keeps_shapes():
    graph = replace(GRAPH, shapes=Shapes(3, {(0, 2): (3, 5), (1, 0): ()}))
    assert TypedGraph.from_json(json.loads(json.dumps(graph.to_json()))) == graph
    nothing = replace(GRAPH, shapes=Shapes(None, {}, "no such op"))
    assert TypedGraph.from_json(json.loads(json.dumps(nothing.to_json()))) == nothing


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="format 99"):
        TypedGraph.from_json({**GRAPH.to_json(), "format": 99})


def test_vertices_have_names_for_people():
    assert [GRAPH.vertex_name(index) for index in (0, 1)] == ["pass:T[2]", "next:int32"]
