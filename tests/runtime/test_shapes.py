from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.shapes import with_shapes
from tests.rewrite import graphs

RULES = rule_set("tf-cpu-bfloat16")


def shapes_of(graph_def, batch_size=1):
    """Shapes by tensor name, the batch size that was used, and the problem."""
    graph = with_shapes(describe(graph_def, RULES, ["out"]), graph_def, batch_size)
    found = {
        f"{graph.nodes[node].name}:{port}": shape
        for (node, port), shape in graph.shapes.of_ports.items()
    }
    return found, graph.shapes.batch_size, graph.shapes.problem


def dense(shape):
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, shape, "x")
        weights = tf.constant(np.zeros((64, 300), np.float32), name="weights")
        y = tf.nn.relu(tf.matmul(x, weights, name="product"), name="Relu")
        tf.reshape(y, [-1, 3], name="out")
    return graph.as_graph_def()


def test_a_free_first_dimension_takes_the_batch_size():
    found, batch_size, problem = shapes_of(dense([None, 64]), 8)
    # The last tensor is read by nobody.
    assert found == {
        "x:0": (8, 64),
        "weights:0": (64, 300),
        "product:0": (8, 300),
        "Relu:0": (8, 300),
    }
    assert (batch_size, problem) == (8, None)


def test_a_fixed_batch_wins():
    found, batch_size, _ = shapes_of(dense([5, 64]), 8)
    assert found["product:0"] == (5, 300)
    assert batch_size is None


@pytest.mark.parametrize("shape", [None, [None, None]])
def test_what_is_not_known_is_left_out(shape):
    found, *_ = shapes_of(dense(shape), 8)
    assert "x:0" not in found
    assert found["weights:0"] == (64, 300)


def test_every_output_port_has_its_own_shape():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [None, 6], "x")
        for part in tf.split(x, [2, 4], axis=1, name="split"):
            tf.nn.relu(part)
    found, *_ = shapes_of(graph.as_graph_def())
    assert (found["split:0"], found["split:1"]) == ((1, 2), (1, 4))


def test_the_graph_is_not_changed():
    graph_def = dense([None, 64])
    before = graph_def.SerializeToString(deterministic=True)
    shapes_of(graph_def, 8)
    assert graph_def.SerializeToString(deterministic=True) == before


def test_a_graph_that_cannot_be_imported_says_why():
    graph_def = dense([None, 64])
    graph_def.node[0].attr["shape"].shape.dim[1].size = 65
    found, _, problem = shapes_of(graph_def)
    assert found == {}
    assert "must be equal" in problem
