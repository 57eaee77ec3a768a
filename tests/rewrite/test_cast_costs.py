from __future__ import annotations

import tensorflow as tf

from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.cast_costs import CastCosts
from amp_tuner.rewrite.explain import explain
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.shapes import with_shapes
from tests.rewrite import graphs

RULES = rule_set("tf-cpu-bfloat16")


def explained(graph_def, batch_size=None):
    graph = describe(graph_def, RULES, ["out", "x"])
    if batch_size is not None:
        graph = with_shapes(graph, graph_def, batch_size)
    return explain(prepare(graph, RULES), RULES.lists)


def dense():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [None, 4], "x")
        tf.exp(tf.matmul(x, graphs.matrix()), name="Exp")
        tf.identity(graph.get_tensor_by_name("Exp:0"), name="out")
    return graph.as_graph_def()


def test_bytes_are_those_that_a_run_reads_and_writes():
    # The input and the product are cast on every run, 4 numbers a sample each; weights once.
    found = explained(dense(), 10)
    assert found.casts == CastCosts(3, constant=1, unknown=0, looping=0, bytes_per_run=2 * 40 * 6)
    assert (found.batch_size, found.shape_problem) == (10, None)


def test_op_types_count_the_casts_on_both_sides_of_their_edges():
    by_op = {one.op: one.casts for one in explained(dense(), 10).op_types}
    assert by_op["Placeholder"] == CastCosts(1, 0, 0, 0, 240)
    assert by_op["Const"] == CastCosts(1, 1, 0, 0, 0)
    assert by_op["MatMul"] == CastCosts(3, 1, 0, 0, 480)
    assert by_op["Exp"] == CastCosts(1, 0, 0, 0, 240)
    assert by_op["Identity"] == CastCosts(0, 0, 0, 0, 0)


def test_without_shapes_casts_that_run_are_of_unknown_size():
    found = explained(dense())
    assert found.casts == CastCosts(3, constant=1, unknown=2, looping=0, bytes_per_run=0)
    assert found.shape_problem == "shapes were not asked for"


def test_casts_in_loops_are_counted_apart():
    with graphs.building() as graph:
        graphs.v1.disable_control_flow_v2()
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        done = graphs.v1.while_loop(
            lambda step, _: step < 3,
            lambda step, state: (step + 1, tf.exp(state @ graphs.matrix())),
            [0, tf.exp(x @ graphs.matrix())],
        )
        tf.identity(done[1], name="out")
    # Around both Exps; the input; both weights; what leaves the loop, of a shape that may change.
    assert explained(graph.as_graph_def(), 1).casts == CastCosts(
        8, constant=2, unknown=1, looping=2, bytes_per_run=3 * 16 * 6
    )
