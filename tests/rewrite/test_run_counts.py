from __future__ import annotations

import tensorflow as tf

from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.run_counts import constant_nodes, nodes_in_loops
from amp_tuner.runtime.describe import describe
from tests.rewrite import graphs


def _names(graph_def, find):
    graph = describe(graph_def, rule_set("tf-cpu-bfloat16"), ["out"])
    return {graph.nodes[index].name for index in find(graph)}


def test_what_follows_from_constants_is_constant():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        scale = graphs.raw.Rsqrt(x=graphs.matrix(), name="Rsqrt")
        graphs.raw.Mul(x=x, y=graphs.raw.Mul(x=scale, y=scale, name="Square"), name="Scaled")
        graphs.raw.Add(x=scale, y=tf.random.uniform([4, 4]), name="Random")
    found = _names(graph.as_graph_def(), constant_nodes)
    assert {"Const", "Rsqrt", "Square"} <= found
    assert found.isdisjoint({"x", "Scaled", "Random", "random_uniform/RandomUniform"})


def test_variables_and_control_flow_are_not_constant():
    assert "Variable" not in _names(graphs.variables(), constant_nodes)
    assert "while/Enter" not in _names(graphs.while_loop(), constant_nodes)


def test_a_loop_is_what_is_between_enter_and_exit():
    found = _names(graphs.while_loop(), nodes_in_loops)
    assert {"while/MatMul", "while/Enter_1", "while/MatMul/Enter", "while/Exp"} <= found
    assert found.isdisjoint({"x", "Relu", "Exp", "while/Exit_1", "MatMul", "out"})


def test_after_an_inner_loop_the_outer_one_goes_on():
    with graphs.building() as graph:
        graphs.v1.disable_control_flow_v2()
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")

        def body(step, state):
            inner = graphs.v1.while_loop(
                lambda step, _: step < 2, lambda step, y: (step + 1, tf.tanh(y)), [0, state]
            )
            return step + 1, graphs.raw.Relu(features=inner[1], name="after")

        done = graphs.v1.while_loop(lambda step, _: step < 3, body, [0, x])
        tf.identity(done[1], name="out")
    found = _names(graph.as_graph_def(), nodes_in_loops)
    assert {"while/after", "while/while/Tanh", "while/while/Exit_1"} <= found
    assert found.isdisjoint({"x", "out", "while/Exit_1"})
