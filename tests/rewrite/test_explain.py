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
        ("Exp1", "float32", "FP32: DENY"),
        ("Relu2", "float32", "FP32: CLEAR, downstream of Exp `Exp1`"),
        ("Sqrt3", "float32", "FP32: INFER, downstream of Exp `Exp1` through 1 CLEAR node"),
        ("Relu4", "16-bit", "16-bit: CLEAR, reached from MatMul `MatMul5`"),
        ("MatMul5", "16-bit", "16-bit: ALLOW"),
        (
            "Log7",
            "float32",
            (
                "FP32: INFER, downstream of MatMul `MatMul5` through 1 CLEAR node, "
                "but no ALLOW op is downstream of it"
            ),
        ),
        ("Digamma8", "float32", "FP32: in no list"),
        ("Relu9", "float32", "FP32: CLEAR, no 16-bit node in reach through CLEAR"),
        ("out", "float32", "FP32: input or output of the model"),
    ],
)
def test_every_node_says_why(node, colour, reason):
    found = _explained(CHAIN)[1][node]
    assert (found.colour, found.reason) == (colour, reason)


def test_between_names_both_ends_and_what_is_in_between():
    found = _explained(graphs.chain("MatMul", "Relu", "Relu", "Sqrt", "MatMul"))[1]
    assert found["Sqrt4"].reason == (
        "16-bit: INFER, between MatMul `MatMul1` (through 2 CLEAR nodes) and MatMul `MatMul5`"
    )
    assert found["Relu3"].reason == (
        "16-bit: CLEAR, between MatMul `MatMul1` (through 1 CLEAR node) "
        "and MatMul `MatMul5` (through 1 INFER node)"
    )


def test_deciders_are_data_too():
    (cause,) = _explained(CHAIN)[1]["Sqrt3"].causes
    assert (cause.attributes, cause.colour, cause.rule) == (("T",), "FP32", "downstream_of_deny")
    assert cause.deciders == (("Exp1", "Exp", {"clear": 1}),)


def test_elements_of_a_list_have_reasons_of_their_own():
    assert _explained(graphs.lists_of_types())[1]["IdentityN"].reason == (
        "16-bit T[0], T[2]: CLEAR, between MatMul `MatMul` and MatMul `MatMul_1` (through 1 INFER "
        "node); 16-bit T[1]: CLEAR, reached from AddN `AddN`"
    )


def test_what_has_no_kernel_says_so():
    found = _explained(graphs.chain("MatMul", "SparseMatMul"), {"SparseMatMul": "clear"})[1]
    assert found["SparseMatMul2"].reason == "FP32: the op takes no FP16 there"


def test_a_type_that_is_taken_back_says_so():
    found = _explained(graphs.chain("MatMul", "SparseMatMul"), {"SparseMatMul": "allow"})[1]
    assert found["SparseMatMul2"].reason == "FP32: the op takes no FP16 there"


def test_partly_converted_nodes_are_mixed():
    found = _explained(graphs.conv_net())[1]["FusedBatchNorm"]
    assert (found.colour, found.attributes_16bit) == ("mixed", ("T",))
    assert found.reason == (
        "16-bit T: INFER, directly after Conv2D `Conv2D`; FP32 U: the op takes no FP16 there"
    )


def test_loops_and_lists_and_casts_have_reasons():
    found = _explained(graphs.recurrent_edges())[1]
    assert found["Merge2"].reason == "FP32: its loop also has Merge `Merge1` in FP32"
    found = _explained(graphs.lists_of_types())[1]
    assert found["ToFloat"].reason == (
        "16-bit: a Cast for 16-bit nodes only, such as MatMul `MatMul`"
    )
    found = _explained(graphs.tensor_lists("push"))[1]
    assert found["EmptyTensorList"].reason == (
        "16-bit: shares a TensorList with TensorListPushBack `TensorListPushBack` in 16 bits"
    )


def test_what_could_be_16_bit_but_stayed_is_told_with_its_commonest_reason():
    stayed = _explained(graphs.chain("MatMul", "Relu", "Sqrt", "Exp", "Log", "Expm1", source="x"))[
        0
    ].stayed
    assert [(one.op, one.nodes, one.of, one.reason) for one in stayed] == [
        ("Exp", ("Exp4",), 1, "DENY"),
        ("Expm1", ("Expm16",), 1, "DENY"),
        ("Log", ("Log5",), 1, "downstream of Exp"),
        ("Sqrt", ("Sqrt3",), 1, "no ALLOW op downstream"),
    ]
    assert stayed[2].example == "Log5"


def test_what_is_computed_from_constants_alone_did_not_stay_but_vanishes():
    # Its constant and its Exp are gone when the model runs.
    assert "Exp" not in [one.op for one in _explained(graphs.chain("Exp", "MatMul"))[0].stayed]
    with_input = graphs.chain("Exp", "MatMul", source="x")
    assert "Exp" in [one.op for one in _explained(with_input)[0].stayed]


def test_op_types_add_up():
    explanation, nodes = _explained(graphs.conv_net())
    by_op = {summary.op: summary for summary in explanation.op_types}
    assert sum(summary.nodes for summary in explanation.op_types) == len(nodes)
    prepared = prepared_graph(graphs.conv_net(), RULES)
    painting = paint(prepared, RULES.lists)
    assert sum(summary.attributes_16bit for summary in explanation.op_types) == (
        painting.painted.sum()
    )
    assert by_op["Conv2D"].casts.count == 2  # its input and its weights
    assert explanation.effective == effective_graph(prepared, painting)


def test_an_explanation_is_json():
    explanation = _explained(CHAIN)[0]
    assert json.loads(json.dumps(explanation.to_json()))["nodes"][0]["op"] == "Const"
