"""Tiny SavedModels and their data for tests that run real workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from amp_tuner.worker.protocol import DataSource, ModelSource

SAMPLES = 20
BATCH = 8
FEATURES = 16


def _save(folder: Path, spec: Any, function: Callable[..., Any]) -> ModelSource:
    module = tf.Module()
    module.weights = [
        tf.Variable(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
        for seed, shape in enumerate([(FEATURES, 32), (32, 4)])
    ]
    module.run = tf.function(lambda *inputs: function(module.weights, *inputs), spec)
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return ModelSource(str(folder))


def dense(folder: Path, batch: int | None = None) -> ModelSource:
    """Two MatMuls with a Relu between and a Softmax; variables; outputs ``logits``, ``y``."""

    def run(weights: Any, x: Any) -> Any:
        logits = tf.nn.relu(x @ weights[0]) @ weights[1]
        return {"y": tf.nn.softmax(logits), "logits": logits}

    return _save(folder, [tf.TensorSpec([batch, FEATURES], tf.float32, name="x")], run)


def pictures(folder: Path) -> ModelSource:
    """Convolution, ReLU and pooling of 8 x 8 x 1 pictures, then a MatMul and a Softmax."""

    def run(weights: Any, image: Any) -> Any:
        kernel = tf.reshape(weights[0], [4, 4, 1, 32])
        found = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
        pooled = tf.reduce_mean(tf.nn.avg_pool2d(found, 2, 2, "SAME"), [1, 2])
        return {"y": tf.nn.softmax(pooled @ weights[1])}

    return _save(folder, [tf.TensorSpec([None, 8, 8, 1], tf.float32, name="image")], run)


def words(folder: Path) -> ModelSource:
    """Strings in, their upper case and their lengths out."""

    def run(_: Any, text: Any) -> Any:
        return {"length": tf.strings.length(text), "upper": tf.strings.upper(text)}

    return _save(folder, [tf.TensorSpec([None], tf.string, name="text")], run)


def trouble(folder: Path) -> ModelSource:
    """Does what the first number of a batch asks for.

    0: doubles its input. 1: never ends. 2: asks for 6.4 GB at once. 3: fills 1.6 GB and goes on.
    4: trips a check of TensorFlow's own, which aborts the process.
    """

    def run(_: Any, x: Any) -> Any:
        mode = tf.cast(x[0, 0], tf.int32)
        forever = lambda step: tf.logical_or(tf.equal(mode, 1), step < 1)  # noqa: E731
        steps = tf.while_loop(forever, lambda step: step + 1, [0])[0]
        size = tf.where(mode == 2, 1_600_000_000, tf.where(mode == 3, 400_000_000, 1))
        filled = tf.reduce_max(tf.fill([size], x[0, 1]))
        position = tf.where(mode == 4, tf.constant(-(10**9), tf.int64), 0)
        aborts = tf.raw_ops.MaxPoolGradWithArgmax(
            input=tf.ones([1, 2, 2, 1]),
            grad=tf.ones([1, 1, 1, 1]),
            argmax=tf.reshape(position, [1, 1, 1, 1]),
            ksize=[1, 2, 2, 1],
            strides=[1, 2, 2, 1],
            padding="VALID",
        )
        nothing = tf.cast(steps, tf.float32) + filled + tf.reduce_sum(aborts)
        return {"y": 2 * x + 0 * nothing}

    return _save(folder, [tf.TensorSpec([None, 4], tf.float32, name="x")], run)


def data(
    folder: Path,
    arrays: Mapping[str, Any],
    *,
    batch: int = BATCH,
    timing_batches: int = 16,
    order: Any = None,
) -> DataSource:
    """Writes arrays, each for the input of its name."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / "data.npz", **arrays)
    samples = len(next(iter(arrays.values())))
    np.save(folder / "order.npy", np.arange(samples) if order is None else order)
    return DataSource(
        path=str(folder / "data.npz"),
        inputs={name: name for name in arrays},
        order=str(folder / "order.npy"),
        batch_size=batch,
        timing_batches=timing_batches,
    )


def features(seed: int = 0) -> Any:
    """Inputs of :func:`dense`, shape (SAMPLES, FEATURES)."""
    return np.random.default_rng(seed).normal(size=(SAMPLES, FEATURES)).astype(np.float32)
