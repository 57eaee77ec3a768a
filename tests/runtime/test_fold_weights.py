from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite import graphs
from tests.rewrite.graphs import building, v1

RULES = ("tf-cpu-bfloat16", "tf-cpu-float16")


def _rewritten(graph_def, name, fold, moves=None, kept=("out", "x")):
    rules = rule_set(name)
    lists = rules.lists.moved(moves or {})
    return rewrite_graph(graph_def, rules, lists, preserved=kept, fold_weights=fold)


def _run(graph_def, feeds, fetch="out:0"):
    with building() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph) as session:
            return session.run(fetch, feeds)


def _nodes(graph_def: graph_pb2.GraphDef):
    return {node.name: node for node in graph_def.node}


def _casts_to_16bit(graph_def):
    return [node for node in graph_def.node if node.op == "Cast" and node.attr["DstT"].type != 1]


def _embedding():
    """Rows of a table, multiplied and summed; the table is only read."""
    table = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    table[0] = [1e30, -1e30, 1e-30, -1e-40, np.inf, -np.inf, 65520.0, 0.0, *range(8)]
    with building() as graph:
        rows = v1.placeholder(tf.int32, [None], "x")
        read = tf.identity(tf.constant(table, name="table"), name="table/read")
        gathered = tf.raw_ops.GatherV2(params=read, indices=rows, axis=0, name="rows")
        tf.reduce_sum(gathered * gathered, axis=1, name="out")
    return graph.as_graph_def()


MOVES = {"GatherV2": "allow", "Mul": "allow", "Identity": "none"}


@pytest.mark.parametrize("name", RULES)
def test_outputs_are_equal_bit_for_bit(name):
    graph_def = _embedding()
    feeds = {"x:0": np.arange(500)}
    plain = _run(_rewritten(graph_def, name, False, MOVES), feeds)
    folded = _run(_rewritten(graph_def, name, True, MOVES), feeds)
    assert plain.tobytes() == folded.tobytes()
    assert plain.tobytes() != _run(graph_def, feeds).tobytes()


@pytest.mark.parametrize("name", RULES)
def test_outputs_of_a_convolutional_net_are_equal_bit_for_bit(name):
    feeds = {"x:0": np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)}
    after = [_rewritten(graphs.conv_net(), name, fold) for fold in (False, True)]
    plain, folded = (_run(graph_def, feeds) for graph_def in after)
    assert plain.tobytes() == folded.tobytes()
    assert len(_casts_to_16bit(after[1])) < len(_casts_to_16bit(after[0]))


def test_a_weight_behind_an_identity_is_stored_once_and_small():
    graph_def = _embedding()
    before = _rewritten(graph_def, "tf-cpu-float16", False, MOVES)
    after = _rewritten(graph_def, "tf-cpu-float16", True, MOVES)
    assert {"table", "table/read"} <= _nodes(before).keys()
    assert {"table", "table/read"}.isdisjoint(_nodes(after).keys())
    assert after.ByteSize() < 0.6 * graph_def.ByteSize()


def test_a_weight_that_is_needed_elsewhere_stays():
    graph_def = _embedding()
    kept = _rewritten(graph_def, "tf-cpu-float16", True, MOVES, kept=("out", "x", "table"))
    assert "table" in _nodes(kept)
    assert "table/read" not in _nodes(kept)
    reader = graph_def.node.add(name="reader", op="Exp", input=["table/read"])
    reader.attr["T"].type = 1
    read = _rewritten(graph_def, "tf-cpu-float16", True, MOVES)
    assert _nodes(read)["reader"].input == ["table/read"]
    assert _nodes(read)["table"].attr["dtype"].type == 1


def test_casts_that_were_there_before_stay():
    with building() as graph:
        half = tf.cast(tf.cast(graphs.matrix(), tf.float16, name="mine"), tf.float32)
        tf.matmul(half, v1.placeholder(tf.float32, [4, 4], "x"), name="product")
        tf.identity(half, name="out")
    assert _nodes(_rewritten(graph.as_graph_def(), "tf-cpu-float16", True))["mine"].op == "Cast"


def test_constants_keep_their_control_inputs():
    # In a loop they hold a constant in its frame.
    graph_def = graphs.constant_in_loop()
    feeds = {"x:0": np.eye(4, dtype=np.float32)}
    plain, folded = (_rewritten(graph_def, "tf-cpu-float16", fold) for fold in (False, True))
    made = [node for node in folded.node if node.op == "Const" and node.attr["dtype"].type == 19]
    assert [list(node.input) for node in made] == [["^while/Identity"]]
    assert _run(plain, feeds).tobytes() == _run(folded, feeds).tobytes()
