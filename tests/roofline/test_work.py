"""Operations of nodes, with TensorFlow's own count of them as the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from amp_tuner.roofline.work import Kind, work_of

v1 = tf.compat.v1


def counted(make: Any) -> tuple[str, list[Any], list[Any], float]:
    """An op's type, shapes of inputs and outputs, and TensorFlow's count."""
    with tf.Graph().as_default() as graph:
        made = make().op
        shapes = [[tuple(tensor.shape) for tensor in side] for side in (made.inputs, made.outputs)]
        flops = ops.get_stats_for_node_def(graph, made.node_def, "flops").value
    return made.type, *shapes, float(flops)


def zeros(*shape: int) -> Any:
    return v1.placeholder(tf.float32, shape)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.matmul(zeros(3, 5), zeros(5, 7)),
        lambda: tf.matmul(zeros(5, 3), zeros(7, 5), transpose_a=True, transpose_b=True),
        lambda: tf.nn.conv2d(zeros(2, 9, 9, 6), zeros(3, 3, 6, 8), 2, "SAME"),
        lambda: tf.nn.conv2d(zeros(2, 9, 9, 6), zeros(1, 1, 6, 8), 1, "VALID"),
        lambda: tf.nn.depthwise_conv2d(zeros(2, 9, 9, 6), zeros(3, 3, 6, 1), (1, 1, 1, 1), "SAME"),
    ],
)
def test_products_are_counted_as_tensorflow_counts_them(make: Any) -> None:
    op, inputs, outputs, flops = counted(make)
    work = work_of(op, inputs, outputs, {})
    assert work.operations == flops > 0
    assert work.product is None or work.product.operations == flops


@pytest.mark.parametrize(
    ("kernel", "steps", "padding", "gathered", "rows"),
    [
        ((3, 3, 6, 8), 1, "VALID", 2 * 7 * 7 * 9 * 6, 2 * 7 * 7 * 3),
        ((3, 5, 6, 8), 2, "SAME", 2 * 5 * 5 * 15 * 6, 2 * 5 * 5 * 3),
        ((1, 4, 6, 1), 1, "VALID", 2 * 9 * 6 * 4 * 6, 2 * 9 * 6),
        ((1, 1, 6, 8), 1, "VALID", 0, 0),
    ],
)
def test_a_convolution_gathers_every_window_row_by_row(
    kernel: tuple[int, ...], steps: int, padding: str, gathered: int, rows: int
) -> None:
    op, inputs, outputs, _ = counted(
        lambda: tf.nn.conv2d(zeros(2, 9, 9, 6), zeros(*kernel), steps, padding)
    )
    work = work_of(op, inputs, outputs, {})
    assert (work.gathered, work.window_rows) == (gathered, rows)


def test_a_batch_of_products_is_one_for_each() -> None:
    work = work_of("BatchMatMulV2", [(8, 3, 5), (8, 5, 7)], [(8, 3, 7)], {})
    assert work.product == (8, 3, 7, 5)
    same = work_of("Einsum", [(8, 3, 5), (8, 5, 7)], [(8, 3, 7)], {"equation": "bij,bjk->bik"})
    assert same.product == work.product
    attention = {"equation": "bqhd,bkhd->bhqk"}
    work = work_of("Einsum", [(2, 6, 4, 16), (2, 9, 4, 16)], [(2, 4, 6, 9)], attention)
    assert work.operations == 2 * 2 * 4 * 6 * 9 * 16


@pytest.mark.parametrize(
    ("equation", "spelt", "left", "right", "output"),
    [
        ("...d,dn->...n", "bsd,dn->bsn", (8, 6, 5), (5, 7), (8, 6, 7)),
        ("...ij,...jk->...ik", "abij,abjk->abik", (2, 4, 3, 5), (2, 4, 5, 7), (2, 4, 3, 7)),
        ("...ij,...jk->...ik", "abij,bjk->abik", (2, 4, 3, 5), (4, 5, 7), (2, 4, 3, 7)),
    ],
)
def test_an_ellipsis_stands_for_the_indices_that_are_not_named(
    equation: str, spelt: str, left: Any, right: Any, output: Any
) -> None:
    found = work_of("Einsum", [left, right], [output], {"equation": equation})
    assert found.kind is Kind.MATMUL
    result = tf.einsum(equation, tf.zeros(left), tf.zeros(right))
    assert tuple(result.shape) == output
    assert found == work_of("Einsum", [left, right], [output], {"equation": spelt})


def test_a_sum_over_segments_adds_up_a_row_for_each_index() -> None:
    shapes = [(100_000, 64), (1000,), (1000,)]
    work = work_of("SparseSegmentSum", shapes, [(10, 64)], {})
    assert (work.kind, work.operations) == (Kind.REDUCTION, 1000 * 64)


@pytest.mark.parametrize(
    ("picture", "output", "steps", "data_format", "expected"),
    [
        ((1, 58, 58, 64), (1, 58, 58, 64), (1, 1, 1, 1, 1, 1, 1, 1), "NHWC", True),
        ((1, 58, 58, 64), (1, 56, 56, 64), (1, 1, 1, 1, 1, 1, 1, 1), "NHWC", True),
        ((1, 64, 58, 58), (1, 64, 58, 58), (1, 1, 1, 1, 1, 1, 1, 1), "NCHW", True),
        ((1, 58, 58, 64), (1, 29, 29, 64), (1, 2, 2, 1, 1, 1, 1, 1), "NHWC", False),
        ((1, 58, 58, 64), (1, 58, 58, 64), (1, 1, 1, 1, 1, 2, 2, 1), "NHWC", False),
        ((1, 58, 58, 128), (1, 58, 58, 64), (1, 1, 1, 1, 1, 1, 1, 1), "NHWC", False),
    ],
)
def test_winograd_is_for_dense_convolutions_of_stride_1(
    picture: Any, output: Any, steps: Any, data_format: str, expected: bool
) -> None:
    attributes = {"steps": steps, "data_format": data_format}
    work = work_of("Conv2D", [picture, (3, 3, 64, 64)], [output], attributes)
    assert work.winograd == expected


def test_a_transposed_convolution_multiplies_each_input_by_the_filter() -> None:
    with tf.Graph().as_default():
        made = tf.nn.conv2d_transpose(zeros(2, 4, 4, 6), zeros(3, 3, 8, 6), (2, 8, 8, 8), 2).op
    inputs = [tuple(tensor.shape) for tensor in made.inputs]
    work = work_of(made.type, inputs, [(2, 8, 8, 8)], {})
    assert work.operations == 2 * (2 * 4 * 4 * 6) * (3 * 3 * 8)


@pytest.mark.parametrize(
    ("op", "kind", "operations"),
    [
        ("AddV2", Kind.ELEMENTWISE, 60),
        ("NoSuchOp", Kind.ELEMENTWISE, 60),
        ("FusedBatchNormV3", Kind.NORMALISATION, 120),
        ("Tanh", Kind.TRANSCENDENTAL, 16 * 60),
        ("Transpose", Kind.MOVEMENT, 60),
        ("Cast", Kind.CAST, 60),
        ("Reshape", Kind.FREE, 0),
    ],
)
def test_other_ops_take_operations_per_element(op: str, kind: Kind, operations: float) -> None:
    work = work_of(op, [(3, 20)], [(3, 20)], {})
    assert (work.kind, work.operations) == (kind, operations)


def test_a_reduction_reads_its_input_and_pooling_its_windows() -> None:
    assert work_of("Sum", [(3, 20)], [(3,)], {}).operations == 60
    work = work_of("MaxPool", [(1, 8, 8, 2)], [(1, 4, 4, 2)], {"window": 9})
    assert (work.kind, work.operations) == (Kind.POOLING, 4 * 4 * 2 * 9)


def test_shapes_that_are_not_known_are_no_work_and_no_error() -> None:
    assert work_of("MatMul", [None, None], [None], {}).operations == 0
    assert work_of("Conv2D", [None, (1, 1, 2, 2)], [(1, 2, 2, 2)], {}).operations == np.prod((8,))
