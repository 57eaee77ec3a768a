from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.tunable import legalise, tunable_op_types
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite import graphs, random_graphs
from tests.rewrite.painted import prepared_graph

FP16 = rule_set("tf-cpu-float16")
CONV = graphs.conv_net()


def _prepared(graph_def, rules=FP16):
    return prepared_graph(graph_def, rules)


def test_tunable_are_op_types_that_can_be_converted_where_they_stand():
    found = tunable_op_types(_prepared(CONV))
    assert {"Conv2D", "FusedBatchNormV2", "FusedBatchNormV3", "AvgPool", "Relu"} <= set(found)
    # Sources, shapes, and what is fetched (the Softmax) are not.
    assert {"Const", "Placeholder", "NoOp", "Softmax"}.isdisjoint(found)


def test_state_and_functions_are_not_tunable():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        table = tf.Variable(tf.ones([8, 4]), use_resource=True)
        rows = tf.gather(table, [1, 2])
        called = tf.function(lambda y: y + 1.0)(x)
        bits = tf.bitcast(called, tf.int32)
        tf.identity(rows[0, 0] + tf.random.uniform([]) + tf.cast(bits, tf.float32), name="out")
    found = tunable_op_types(_prepared(graph.as_graph_def()))
    assert "AddV2" in found
    assert {
        *("ResourceGather", "RandomUniform", "PartitionedCall", "StatefulPartitionedCall"),
        *("Bitcast", "VarHandleOp", "ReadVariableOp"),
    }.isdisjoint(found)


@pytest.mark.parametrize("op_type", tunable_op_types(_prepared(CONV)))
def test_a_tunable_op_type_is_painted_in_allow_and_not_in_none(op_type):
    prepared = _prepared(CONV)
    mine = prepared.op_of == prepared.op_types.index(op_type)
    in_allow = paint(prepared, FP16.lists.moved({op_type: "allow"})).painted & mine
    in_none = paint(prepared, FP16.lists.moved({op_type: "none"})).painted & mine
    assert in_allow.any()
    assert not in_none.any()


def test_an_op_type_without_a_kernel_goes_to_clear():
    prepared = _prepared(CONV, rule_set("tf-cpu-bfloat16"))
    asked = prepared.rules.lists.moved({"FusedBatchNormV3": "allow"})
    # On ALLOW its scale type would become bfloat16 too, for which there is no kernel.
    legal = legalise(prepared, asked)
    assert legal.moves_from(asked) == {"FusedBatchNormV3": "clear"}


def test_legal_lists_stay_as_they_are():
    prepared = _prepared(CONV)
    assert legalise(prepared, FP16.lists) is FP16.lists


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(["tf-cpu-bfloat16", "tf-cpu-float16"]))
def test_legal_settings_run(data, name):
    rules = rule_set(name)
    prepared = _prepared(CONV, rules)
    places = st.sampled_from(["allow", "infer", "clear", "deny", "none"])
    op_types = tunable_op_types(prepared)
    moves = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(op_types, places)))
    lists = legalise(prepared, rules.lists.moved(moves))
    painted = paint(prepared, lists).painted
    assert not np.any(painted & ~prepared.supports)
    after = rewrite_graph(CONV, rules, lists, preserved=["out", "x"], fold_weights=True)
    with graphs.building() as graph:
        tf.import_graph_def(after, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            (out,) = session.run(["out:0"], {"x:0": np.ones((2, 8, 8, 3), np.float32)})
    assert np.isfinite(out).all()


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_setting_of_any_graph_becomes_legal_and_stays_so(data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    for node in graph_def.node:
        node.device = ""  # where a device is missing, FP32 does not run either
    prepared = prepared_graph(graph_def, FP16, tuple(fetches))
    lists = legalise(prepared, FP16.lists.moved(data.draw(random_graphs.moves(graph_def))))
    assert not np.any(paint(prepared, lists).painted & ~prepared.supports)
    assert legalise(prepared, lists) == lists
