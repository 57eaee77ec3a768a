"""What micro-benchmarks of the CPU at hand find, and what they take a convolution to be."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tensorflow as tf

from amp_tuner.roofline.work import Kind, work_of
from amp_tuner.runtime import micro_benchmarks
from amp_tuner.worker.protocol import Threads

THREADS = Threads(intra_op=1, inter_op=1)
CONVOLUTIONS = [one for one in micro_benchmarks._BENCHMARKS if one.work.kind is Kind.CONVOLUTION]
DATA_TYPES = {"float32", "bfloat16", "float16"}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return micro_benchmarks.micro_benchmarks(THREADS, 0)


def test_every_kind_of_work_has_a_rate_in_every_data_type(found: dict[str, Any]) -> None:
    assert found["missing"] == {}
    kinds = {kind.value for kind in Kind} - {"free", "convolution"}
    assert found["rates"].keys() == kinds
    for rates in found["rates"].values():
        assert rates.keys() == DATA_TYPES
        assert all(0 < rate < math.inf for rate in rates.values())


def test_convolutions_are_timed_one_by_one(found: dict[str, Any]) -> None:
    for convolution in found["convolutions"]:
        assert convolution["seconds"].keys() == DATA_TYPES
        assert all(0 < seconds < math.inf for seconds in convolution["seconds"].values())
    # No more than three things are asked of them.
    assert len(found["convolutions"]) > 3


@pytest.mark.parametrize("number", range(len(CONVOLUTIONS)))
def test_a_convolutions_work_is_that_of_the_op_that_is_timed(number: int) -> None:
    one = CONVOLUTIONS[number]
    with tf.Graph().as_default():
        picture = tf.compat.v1.placeholder(tf.float32, one.shape)
        made = one.make(picture, "float32").op
    inputs, outputs = (
        [tuple(tensor.shape) for tensor in side] for side in (made.inputs, made.outputs)
    )
    assert one.work == work_of(made.type, inputs, outputs, {})


def test_fusion_is_seen_in_the_graph_that_runs(found: dict[str, Any]) -> None:
    # Every build of TensorFlow fuses float32; 16 bits only where the CPU has instructions for them.
    assert "float32" in found["fused"]
