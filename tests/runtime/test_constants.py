"""Constants whose claims and contents differ: refused, or never worked out."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader import load_model
from amp_tuner.worker.protocol import ModelSource


def graph_with(content: bytes | None, shape: list[int]) -> tf.compat.v1.GraphDef:
    """``y = x + weights``, its constant's content and claimed shape given."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [2], name="x")
        tf.add(x, tf.constant([1.5, 2.5], name="weights"), name="y")
    graph_def = graph.as_graph_def()
    (constant,) = (node for node in graph_def.node if node.op == "Const")
    tensor = constant.attr["value"].tensor
    tensor.ClearField("tensor_content")
    if content is None:
        tensor.float_val.append(1.5)
    else:
        tensor.tensor_content = content
    del tensor.tensor_shape.dim[:]
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return graph_def


def written(graph_def: tf.compat.v1.GraphDef, path: Path) -> ModelSource:
    path.write_bytes(graph_def.SerializeToString())
    return ModelSource(str(path))


def test_content_that_does_not_fit_its_shape_is_refused_by_name(tmp_path: Path) -> None:
    content = np.zeros(3, np.float32).tobytes()
    with pytest.raises(InputError) as caught:
        load_model(written(graph_with(content, [2]), tmp_path / "broken.pb"))
    assert "constant 'weights' has 12 bytes; its shape and type need 8" in str(caught.value)


def test_one_number_that_stands_for_a_terabyte_is_not_worked_out(tmp_path: Path) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = load_model(written(graph_with(None, [2**38, 2]), tmp_path / "swollen.pb"))
    assert [output.shape for output in model.outputs] == [(2**38, 2)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 256 * 1024
