from __future__ import annotations

import fnmatch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from amp_tuner.amp.lists import DESTINATIONS, NODE
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.graph.typed_graph import TypedGraph, TypedNode, Vertex
from amp_tuner.rewrite.explain import explain
from amp_tuner.rewrite.moved_nodes import NamedVertices, problems_of
from amp_tuner.rewrite.paint import paint
from tests.rewrite import graphs, random_graphs
from tests.rewrite.painted import painted, prepared_graph

BF16, FP16 = rule_set("tf-cpu-bfloat16"), rule_set("tf-cpu-float16")
#: MatMul1 → Exp2 → MatMul3 → Exp4 → MatMul5
CHAIN = graphs.chain("MatMul", "Exp", "MatMul", "Exp", "MatMul", source="x")


def colours(prepared, lists):
    """The colours; None where the pass fails."""
    try:
        painting = paint(prepared, lists)
    except RewriteError:
        return None
    return painting.allow.tolist(), painting.deny.tolist()


def drawn(data, rules):
    """A random graph, prepared, and random lists."""
    graph_def, fetches = data.draw(random_graphs.graphs())
    lists = rules.lists.moved(data.draw(random_graphs.moves(graph_def)))
    return prepared_graph(graph_def, rules, tuple(fetches)), lists


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rules=st.sampled_from([BF16, FP16]), place=st.sampled_from(DESTINATIONS))
def test_moving_every_node_of_an_op_type_is_moving_the_op_type(data, rules, place):
    prepared, lists = drawn(data, rules)
    op_type = data.draw(st.sampled_from(prepared.op_types))
    names = [node.name for node in prepared.graph.nodes if node.op == op_type]
    by_node = lists.moved({NODE + name: place for name in names})
    assert colours(prepared, by_node) == colours(prepared, lists.moved({op_type: place}))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rules=st.sampled_from([BF16, FP16]))
def test_a_node_in_its_op_types_own_list_changes_nothing(data, rules):
    prepared, lists = drawn(data, rules)
    node = data.draw(st.sampled_from(prepared.graph.nodes))
    same = lists.moved({NODE + node.name: lists.list_of(node.op)})
    assert colours(prepared, same) == colours(prepared, lists)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rules=st.sampled_from([BF16, FP16]))
def test_a_node_in_no_list_stays_fp32_unless_it_shares_a_list_or_a_loop(data, rules):
    prepared, lists = drawn(data, rules)
    bound = ("TensorList", "NextIteration", "Merge", "Cast")
    free = [n.name for n in prepared.graph.nodes if not any(one in n.op for one in bound)]
    if not free:
        reject()  # nothing in this graph is alone
    subject = NODE + data.draw(st.sampled_from(free))
    found = colours(prepared, lists.moved({subject: "none"}))
    if found is not None:
        assert not np.array(found[0])[prepared.named[subject]].any()


def test_one_node_is_set_apart_from_others_of_its_type():
    everything = {"MatMul": "allow", "Exp": "allow"}
    assert {"Exp2", "Exp4"} <= painted(CHAIN, "tf-cpu-bfloat16", moves=everything)
    apart = painted(CHAIN, "tf-cpu-bfloat16", moves={**everything, "node:Exp2": "none"})
    assert "Exp2" not in apart
    assert {"MatMul1", "MatMul3", "Exp4", "MatMul5"} <= apart


def test_one_node_alone_is_16_bit():
    found = painted(CHAIN, "tf-cpu-bfloat16", moves={"MatMul": "none", "node:MatMul3": "allow"})
    assert {name for name in found if name.startswith("MatMul")} == {"MatMul3"}


def test_a_pattern_names_all_that_it_fits():
    moves = {"Exp": "allow", "node:Exp*": "none"}
    found = painted(CHAIN, "tf-cpu-bfloat16", moves=moves)
    assert {"MatMul1", "MatMul3", "MatMul5"} <= found
    assert not any(name.startswith("Exp") for name in found)


def test_a_pattern_takes_all_but_the_star_as_it_is():
    prepared = prepared_graph(CHAIN, BF16)
    assert prepared.named["node:E.p2"].size == 0
    assert prepared.named["node:*"].size == prepared.vertices


def test_an_explanation_tells_the_list_of_a_moved_node():
    prepared = prepared_graph(CHAIN, BF16)
    lists = BF16.lists.moved({"Exp": "allow", "node:Exp2": "none"})
    told = {node.name: (node.list, node.reason) for node in explain(prepared, lists).nodes}
    assert told["Exp2"] == ("none", "FP32: in no list")
    assert told["Exp4"] == ("allow", "16-bit: ALLOW")


@pytest.mark.parametrize(
    ("moves", "problem"),
    [
        ({"node:Exq2": "none"}, "the graph has no node:Exq2 (did you mean Exp2?)"),
        ({"node:deep/*": "none"}, "the graph has no node:deep/*"),
        ({"node:Exp*": "none", "node:Exp2": "deny"}, "Exp2 is in two entries: node:Exp* and"),
        ({"node:x": "allow"}, "node:x to allow: Placeholder 'x' cannot be converted to 16 bits"),
    ],
)
def test_moves_of_nodes_that_make_no_sense_are_problems(moves, problem):
    (found,) = problems_of(prepared_graph(CHAIN, BF16).graph, moves)
    assert problem in found


def test_all_problems_are_told_and_right_moves_are_none():
    graph = prepared_graph(CHAIN, BF16).graph
    assert (
        len(list(problems_of(graph, {"node:Exq2": "none", "node:Mat*": "x", "node:y": "x"}))) == 2
    )
    assert not list(problems_of(graph, {"Exp": "allow", "node:Exp2": "none", "node:Mat*": "allow"}))


def named(names, pattern):
    """Which of the nodes ``names`` a pattern names."""
    nodes = tuple(TypedNode(one, "Asin", True, True, False, False, False, True) for one in names)
    vertices = tuple(Vertex(n, "T", -1, "float32", True, True) for n in range(len(nodes)))
    graph = TypedGraph(BF16.identifier, "a test", None, nodes, vertices, ())
    found = NamedVertices(graph, np.arange(len(nodes)))[NODE + pattern]
    return [names[vertex] for vertex in found.tolist()]


@given(
    names=st.lists(st.text("ab/", min_size=1, max_size=8), unique=True),
    pattern=st.text("ab/*", min_size=1, max_size=6),
)
def test_a_star_stands_for_any_characters(names, pattern):
    assert named(names, pattern) == [one for one in names if fnmatch.fnmatchcase(one, pattern)]


def test_a_pattern_of_many_stars_takes_no_longer_than_another():
    # With a regular expression this would not end.
    assert named(["a" * 900], "*a" * 400 + "b") == []
    assert named(["a" * 900], "*a" * 400) == ["a" * 900]
