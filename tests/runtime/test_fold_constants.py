"""What weights alone decide over becomes a weight; what that gives is as without it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import graph_pb2

from amp_tuner.runtime.fold_constants import fold_constants, is_weight
from amp_tuner.runtime.loader_graph import as_placeholder
from amp_tuner.runtime.outside_weights import ATTRIBUTE
from tests.rewrite.graphs import building, v1

CHANNELS = 8
RNG = np.random.default_rng(0)
GAMMA, BETA, MEAN, VARIANCE = (RNG.uniform(0.5, 2, CHANNELS).astype(np.float32) for _ in range(4))
PICTURES = RNG.normal(size=(2, 4, 4, CHANNELS)).astype(np.float32)
X = RNG.normal(size=(3, CHANNELS)).astype(np.float32)


def folded(graph_def: graph_pb2.GraphDef, *fetches: str) -> graph_pb2.GraphDef:
    """The graph after folding, with its input, without what nobody reads."""
    copied = graph_pb2.GraphDef()
    copied.CopyFrom(graph_def)
    inputs = [node for node in copied.node if node.op == "Placeholder"]
    rest = graph_pb2.GraphDef(versions=copied.versions)
    rest.node.extend(node for node in copied.node if node.op != "Placeholder")
    fold_constants(rest, fetches or ["out:0"])
    rest.node.extend(inputs)
    keep = [fetch.split(":")[0] for fetch in fetches or ["out:0"]]
    return v1.graph_util.extract_sub_graph(rest, keep)


def run(graph_def: graph_pb2.GraphDef, x: np.ndarray, *, compiled: bool = False) -> np.ndarray:
    """``out`` of ``x``, by TensorFlow's kernels or compiled by XLA."""
    rest = graph_pb2.GraphDef(versions=graph_def.versions)
    rest.node.extend(node for node in graph_def.node if node.op != "Placeholder")

    @tf.function(jit_compile=compiled, autograph=False)
    def answer(given: tf.Tensor) -> tf.Tensor:
        return tf.graph_util.import_graph_def(
            rest, input_map={"x:0": given}, return_elements=["out:0"], name=""
        )[0]

    return answer(tf.constant(x)).numpy()


def op_types(graph_def: graph_pb2.GraphDef) -> Counter[str]:
    return Counter(node.op for node in graph_def.node)


def weights(graph_def: graph_pb2.GraphDef) -> list[tuple[int, ...]]:
    found = (node.attr["value"].tensor for node in graph_def.node if is_weight(node))
    return sorted(tf.make_ndarray(tensor).shape for tensor in found)


def norm(layout: str = "NHWC", data_type: Any = tf.float32, **options: Any) -> Any:
    """A graph of one batch norm."""
    with building() as graph:
        x = v1.placeholder(tf.float32, [2, None, None, None], "x")
        x = tf.cast(x, data_type)
        nothing = np.zeros(0, np.float32)
        given = (nothing, nothing) if options.get("is_training") else (MEAN, VARIANCE)
        tf.identity(
            tf.raw_ops.FusedBatchNormV3(
                x=x,
                scale=GAMMA,
                offset=BETA,
                mean=given[0],
                variance=given[1],
                data_format=layout,
                **{"is_training": False, **options},
            ).y,
            name="out",
        )
    return graph.as_graph_def()


def test_batch_norm_by_itself_leaves_a_factor_and_a_shift() -> None:
    graph_def = folded(norm())
    assert op_types(graph_def)["Const"] == 2
    assert weights(graph_def) == [(CHANNELS,), (CHANNELS,)]
    assert op_types(graph_def).keys() == {"Placeholder", "Const", "Mul", "AddV2", "Identity"}


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("data_type", [tf.float32, tf.bfloat16, tf.float16])
def test_batch_norm_is_what_xla_makes_of_it_bit_for_bit(layout: str, data_type: Any) -> None:
    graph_def = norm(layout, data_type)
    x = PICTURES if layout == "NHWC" else PICTURES.transpose(0, 3, 1, 2)
    ours, theirs = (run(graph, x, compiled=True) for graph in (folded(graph_def), graph_def))
    assert ours.dtype == theirs.dtype == data_type.as_numpy_dtype
    assert ours.tobytes() == theirs.tobytes()


def test_batch_norm_of_volumes_is_what_xla_makes_of_it() -> None:
    with building() as graph:
        x = v1.placeholder(tf.float32, [1, None, None, None, None], "x")
        parameters = {"scale": GAMMA, "offset": BETA, "mean": MEAN, "variance": VARIANCE}
        found = tf.raw_ops.FusedBatchNormV3(
            x=x, **parameters, is_training=False, data_format="NCDHW"
        )
        tf.identity(found.y, name="out")
    graph_def = graph.as_graph_def()
    x = PICTURES.reshape(1, 2, 4, 4, CHANNELS).transpose(0, 4, 1, 2, 3)
    ours, theirs = (run(graph, x, compiled=True) for graph in (folded(graph_def), graph_def))
    assert ours.tobytes() == theirs.tobytes()


def test_batch_norm_that_takes_its_statistics_from_the_data_stays() -> None:
    assert op_types(folded(norm(is_training=True)))["FusedBatchNormV3"] == 1


def test_batch_norm_whose_statistics_are_read_stays() -> None:
    graph_def = norm()
    (node,) = [node for node in graph_def.node if node.op == "FusedBatchNormV3"]
    assert op_types(folded(graph_def, "out:0", f"{node.name}:1"))["FusedBatchNormV3"] == 1


def test_batch_norm_that_is_written_out_is_worked_out_too() -> None:
    with building() as graph:
        x = v1.placeholder(tf.float32, [None, CHANNELS], "x")
        found = tf.nn.batch_normalization(x, MEAN, VARIANCE, BETA, GAMMA, 1e-3)
        tf.identity(found, name="out")
    graph_def = folded(graph.as_graph_def())
    assert op_types(graph_def)["Rsqrt"] == 0
    assert weights(graph_def) == [(CHANNELS,), (CHANNELS,)]
    ours, theirs = (run(one, X, compiled=True) for one in (graph_def, graph.as_graph_def()))
    assert ours.tobytes() == theirs.tobytes()


def test_what_only_moves_a_weight_is_no_second_weight() -> None:
    kernel = RNG.normal(size=(CHANNELS, CHANNELS)).astype(np.float32)
    with building() as graph:
        x = v1.placeholder(tf.float32, [None, CHANNELS], "x")
        table = tf.constant(kernel, name="table")
        tied = tf.matmul(tf.matmul(x, table), tf.transpose(table))
        tf.identity(tied, name="out")
    graph_def = folded(graph.as_graph_def())
    assert op_types(graph_def)["Transpose"] == 1
    assert weights(graph_def) == [(CHANNELS, CHANNELS)]


def test_what_is_larger_than_its_weights_is_not_stored() -> None:
    with building() as graph:
        x = v1.placeholder(tf.float32, [None, CHANNELS], "x")
        wide = tf.tile(tf.constant(GAMMA), [100])
        tf.multiply(x, tf.reduce_sum(tf.reshape(wide, [-1, CHANNELS]) * x[0], 0), name="out")
    graph_def = folded(graph.as_graph_def())
    assert op_types(graph_def)["Tile"] == 1
    assert weights(graph_def) == [(CHANNELS,)]


def test_shapes_and_random_numbers_stay() -> None:
    with building() as graph:
        x = v1.placeholder(tf.float32, [None, CHANNELS], "x")
        shape = tf.constant([-1, 2]) * tf.constant([1, 2])
        noise = tf.random.uniform([CHANNELS]) * GAMMA
        tf.reshape(x + noise, shape, name="out")
    before, after = graph.as_graph_def(), folded(graph.as_graph_def())
    assert op_types(after) == op_types(before)


def test_weights_outside_the_graph_are_not_computed_with() -> None:
    with building() as graph:
        x = v1.placeholder(tf.float32, [None, CHANNELS], "x")
        table = tf.constant(GAMMA, name="table")
        tf.multiply(x, tf.sqrt(table), name="out")
    graph_def = graph.as_graph_def()
    (node,) = [node for node in graph_def.node if node.name == "table"]
    node.attr[ATTRIBUTE].s = b"table"
    assert op_types(folded(graph_def))["Sqrt"] == 1
    del node.attr[ATTRIBUTE]
    assert op_types(folded(graph_def))["Sqrt"] == 0


def test_a_fetch_that_is_computed_from_weights_stays() -> None:
    with building() as graph:
        tf.sqrt(tf.constant(GAMMA), name="out")
    assert op_types(folded(graph.as_graph_def())) == {"Const": 1, "Sqrt": 1}


@st.composite
def expressions(draw: st.DrawFn) -> graph_pb2.GraphDef:
    """A graph of sums, products and roots of weights, scalars and an input."""
    with building() as graph:
        values = [v1.placeholder(tf.float32, [None, CHANNELS], "x")]
        values += [tf.constant(one) for one in (GAMMA, BETA, MEAN[None], np.float32(0.5))]
        for _ in range(draw(st.integers(1, 12))):
            left, right = (draw(st.sampled_from(values)) for _ in range(2))
            operation = draw(st.sampled_from([tf.add, tf.subtract, tf.multiply, "root", "row"]))
            if operation == "root":
                values.append(tf.sqrt(tf.abs(left)))
            elif operation == "row":
                values.append(tf.reshape(left, [-1, CHANNELS]) if left.shape.rank else left)
            else:
                values.append(operation(left, right))
        tf.add(values[-1], values[0], name="out")
    return v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["out"])


@given(expressions())
@settings(max_examples=40)
def test_any_graph_gives_what_it_gave_and_computes_nothing_from_weights_alone(
    graph_def: graph_pb2.GraphDef,
) -> None:
    after = folded(graph_def)
    assert run(after, X).tobytes() == run(graph_def, X).tobytes()
    constants = {node.name for node in after.node if is_weight(node)}
    computing = [node for node in after.node if node.op in ("AddV2", "Sub", "Mul", "Sqrt", "Abs")]
    assert not [node.name for node in computing if constants.issuperset(node.input)]


def test_weights_are_constants_of_several_numbers() -> None:
    with building() as graph:
        several, one, shape = tf.constant(GAMMA), tf.constant([0.5]), tf.constant([2, 3])
        names = [tensor.op.name for tensor in (several, one, shape)]
    nodes = {node.name: node for node in graph.as_graph_def().node}
    assert [is_weight(nodes[name]) for name in names] == [True, False, False]
    assert not is_weight(as_placeholder(nodes[names[0]]))
