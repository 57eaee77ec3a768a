"""Shapes and counts of a real FP32 run, in a real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from amp_tuner.errors import InputError, TargetError
from amp_tuner.graph.traced_run import TracedNode, TracedRun
from amp_tuner.runtime.traced_run import _attributes
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import ModelSource
from tests import tiny_models
from tests.tiny_models import BATCH, FEATURES

RULES = "tf-cpu-bfloat16"


def traced(
    worker: WorkerClient, model: ModelSource, folder: Path, arrays: dict[str, Any]
) -> dict[str, tuple[str, TracedNode]]:
    """Each node's op type and what the run showed, by name."""
    worker.load(model, tiny_models.data(folder, arrays), "roofline", "cpu")
    (graph,) = worker.describe([RULES]).values()
    run = worker.traced_run()
    assert run.batch_size == BATCH
    assert len(run.nodes) == len(graph.nodes)
    return {node.name: (node.op, one) for node, one in zip(graph.nodes, run.nodes)}


def of_op(found: dict[str, tuple[str, TracedNode]], op: str) -> list[TracedNode]:
    return [node for op_type, node in found.values() if op_type == op]


def test_every_node_has_the_shapes_of_a_run(worker: WorkerClient, tmp_path: Path) -> None:
    model = tiny_models.dense(tmp_path / "model")
    found = traced(worker, model, tmp_path / "data", {"x": tiny_models.features()})
    assert {node.runs for _, node in found.values()} == {1}
    shapes = [node.shape(0) for node in of_op(found, "MatMul")]
    assert shapes == [(BATCH, 32), (BATCH, 4)]
    assert [node.shape(0) for node in of_op(found, "Placeholder")] == [(BATCH, FEATURES)]
    assert of_op(found, "Softmax")[0].shape(1) is None


def test_nodes_that_onednn_makes_one_of_are_traced_apart(
    worker: WorkerClient, tmp_path: Path
) -> None:
    class Model(tf.Module):
        def __init__(self) -> None:
            self.kernel = tf.Variable(np.ones((3, 3, 1, 2), np.float32))
            self.bias = tf.Variable(np.ones(2, np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.float32, name="x")])
        def run(self, x: Any) -> Any:
            found = tf.nn.bias_add(tf.nn.conv2d(x, self.kernel, 2, "SAME"), self.bias)
            return {"y": tf.nn.max_pool2d(tf.nn.relu(found), 2, 2, "SAME")}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.run)
    pictures = np.ones((BATCH, 8, 8, 1), np.float32)
    found = traced(worker, ModelSource(str(tmp_path / "model")), tmp_path / "data", {"x": pictures})
    for op in ("Conv2D", "BiasAdd", "Relu"):
        assert [node.shape(0) for node in of_op(found, op)] == [(BATCH, 4, 4, 2)]
    (convolution,) = of_op(found, "Conv2D")
    assert convolution.attributes == {"steps": [1, 2, 2, 1, 1, 1, 1, 1], "data_format": "NHWC"}
    (pool,) = of_op(found, "MaxPool")
    assert pool.attributes == {"window": 4}


def test_loops_are_counted_and_branches_that_are_not_taken_did_not_run(
    worker: WorkerClient, tmp_path: Path
) -> None:
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def run(self, x: Any) -> Any:
            five = tf.while_loop(lambda i, _: i < 5, lambda i, y: (i + 1, tf.tanh(y)), [0, x])[1]
            positive = tf.reduce_sum(x) > 0
            return {"y": tf.cond(positive, lambda: tf.exp(five), lambda: tf.math.log(five))}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.run)
    ones = np.ones((BATCH, 3), np.float32)
    found = traced(worker, ModelSource(str(tmp_path / "model")), tmp_path / "data", {"x": ones})
    (tanh,), (exp,), (log,) = (of_op(found, op) for op in ("Tanh", "Exp", "Log"))
    assert (tanh.runs, tanh.shape(0)) == (5, (BATCH, 3))
    assert (exp.runs, exp.shape(0)) == (1, (BATCH, 3))
    assert log.runs == 0


def test_an_einsums_equation_is_told(worker: WorkerClient, tmp_path: Path) -> None:
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def run(self, x: Any) -> Any:
            return {"y": tf.einsum("bi,bj->bij", x, x)}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.run)
    ones = np.ones((BATCH, 3), np.float32)
    found = traced(worker, ModelSource(str(tmp_path / "model")), tmp_path / "data", {"x": ones})
    (einsum,) = of_op(found, "Einsum")
    assert einsum.attributes == {"equation": "bi,bj->bij"}
    assert einsum.shape(0) == (BATCH, 3, 3)


def test_to_look_for_attributes_changes_no_node() -> None:
    node = node_def_pb2.NodeDef(op="ExtractImagePatches")
    node.attr["strides"].list.i.extend([1, 2, 2, 1])
    before = node.SerializeToString(deterministic=True)
    assert _attributes(node) == {"steps": [1, 2, 2, 1], "data_format": ""}
    assert node.SerializeToString(deterministic=True) == before


def test_a_run_needs_data_and_runtime_roofline(worker: WorkerClient, tmp_path: Path) -> None:
    model = tiny_models.dense(tmp_path / "model")
    worker.load(model, None, "roofline", "gpu")
    with pytest.raises(InputError, match="there are no data"):
        worker.traced_run()
    worker.load(model, None, "engine", "cpu")
    with pytest.raises(TargetError, match="loaded for runtime roofline"):
        worker.traced_run()


def test_a_run_survives_json() -> None:
    nodes = (TracedNode(2, ((3, 4), None)), TracedNode(0, (), {"window": 9}))
    run = TracedRun(7, nodes)
    assert TracedRun.from_json(run.to_json()) == run
