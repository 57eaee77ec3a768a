from __future__ import annotations

import json

import pytest

from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.explain import explain
from amp_tuner.rewrite.paint import paint
from tests.rewrite import graphs
from tests.rewrite.painted import prepared_graph

RULES = rule_set("tf-cpu-float16")
CHAIN = graphs.chain(*("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Digamma", "Relu"))


def _explained(graph_def, moves=None):
    prepared = prepared_graph(graph_def, RULES)
    explanation = explain(prepared, RULES.lists.moved(moves or {}))
    return explanation, {node.name: node for node in explanation.nodes}


@pytest.mark.parametrize(
    ("node", "colour", "reason"),
    [
        ("Exp1", "float32", "its op type is in DENY"),
        ("Relu2", "float32", "downstream of DENY"),
        ("Sqrt3", "float32", "downstream of DENY"),
        ("Relu4", "16-bit", "CLEAR, connected to 16 bits through CLEAR"),
        ("MatMul5", "16-bit", "its op type is in ALLOW"),
        ("Log7", "float32", "INFER, neither between ALLOW ops nor right after 16 bits"),
        ("Digamma8", "float32", "its op type is in no list"),
        ("Relu9", "float32", "CLEAR, not connected to 16 bits"),
        ("out", "float32", "an input or output of the model, or on another device"),
    ],
)
def test_every_node_says_why(node, colour, reason):
    found = _explained(CHAIN)[1][node]
    assert (found.colour, found.reason) == (colour, reason)


def test_what_has_no_kernel_says_so():
    found = _explained(graphs.chain("MatMul", "SparseMatMul"), {"SparseMatMul": "clear"})[1]
    assert found["SparseMatMul2"].reason == "the op does not allow float16"


def test_a_type_that_is_taken_back_says_so():
    found = _explained(graphs.chain("MatMul", "SparseMatMul"), {"SparseMatMul": "allow"})[1]
    assert found["SparseMatMul2"].reason == "in ALLOW, but it cannot be 16-bit"


def test_partly_converted_nodes_are_mixed():
    found = _explained(graphs.conv_net())[1]["FusedBatchNorm"]
    assert (found.colour, found.attributes_16bit) == ("mixed", ("T",))


def test_loops_and_lists_and_casts_have_reasons():
    found = _explained(graphs.recurrent_edges())[1]
    assert found["Merge2"].reason == "another Merge or NextIteration of its loop is float32"
    assert _explained(graphs.lists_of_types())[1]["ToFloat"].reason == (
        "all its consumers are in 16 bits"
    )
    found = _explained(graphs.tensor_lists("push"))[1]
    assert "TensorList" in found["EmptyTensorList"].reason


def test_op_types_add_up():
    explanation, nodes = _explained(graphs.conv_net())
    by_op = {summary.op: summary for summary in explanation.op_types}
    assert sum(summary.nodes for summary in explanation.op_types) == len(nodes)
    prepared = prepared_graph(graphs.conv_net(), RULES)
    painting = paint(prepared, RULES.lists)
    assert sum(summary.attributes_16bit for summary in explanation.op_types) == (
        painting.painted.sum()
    )
    assert by_op["Conv2D"].casts == 2  # its input and its weights
    assert explanation.effective == effective_graph(prepared, painting)


def test_an_explanation_is_json():
    explanation = _explained(CHAIN)[0]
    assert json.loads(json.dumps(explanation.to_json()))["nodes"][0]["op"] == "Const"
