from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.rules import rule_set
from amp_tuner.records import FLOAT32_GRAPH
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import paint
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite import graphs, random_graphs
from tests.rewrite.painted import prepared_graph

RULES = rule_set("tf-cpu-bfloat16")
CONV = graphs.conv_net()
PREPARED = prepared_graph(CONV, RULES)


def _effective(moves, prepared=PREPARED):
    return effective_graph(prepared, paint(prepared, RULES.lists.moved(moves)))


def test_nothing_painted_is_the_float32_graph():
    nothing = dict.fromkeys(PREPARED.op_types, "none")
    assert _effective(nothing) == FLOAT32_GRAPH


def test_settings_that_paint_the_same_are_one_graph():
    # No node of the graph is downstream of an Exp or an Erf.
    assert _effective({}) == _effective({"Exp": "allow", "Erf": "deny"})
    assert _effective({}) != _effective({"MatMul": "deny"})


def test_the_same_paint_in_another_data_type_is_another_graph():
    fp16 = rule_set("tf-cpu-float16")
    graph_def = graphs.chain("MatMul", "Relu", "MatMul")
    found = []
    for rules in (RULES, fp16):
        prepared = prepared_graph(graph_def, rules)
        found.append(effective_graph(prepared, paint(prepared, rules.lists)))
    assert found[0].nodes_16bit == found[1].nodes_16bit == 3
    assert found[0].graph_id != found[1].graph_id


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_counts_are_those_of_the_rewritten_graph(data):
    moves = data.draw(random_graphs.moves(CONV))
    after = rewrite_graph(CONV, RULES, RULES.lists.moved(moves), preserved=["out", "x"])
    before = {node.name: node for node in CONV.node}
    casts = [node for node in after.node if node.name not in before]
    changed = [
        node
        for node in after.node
        if node.name in before
        and any(
            value.type == 14 and before[node.name].attr[key].type == 1
            for key, value in node.attr.items()
        )
    ]
    effective = _effective(moves)
    assert (effective.nodes_16bit, effective.casts) == (len(changed), len(casts))
