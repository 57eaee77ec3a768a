"""Tiny SavedModels and their data for tests that run real workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from amp_tuner.worker.protocol import DataSource, ModelSource, Training

SAMPLES = 20
BATCH = 8
FEATURES = 16
CLASSES = 4
#: Of a training step's loss curve.
STEPS = 6
LOSS_SCALE = 1024.0
STEP_SPEC = [
    tf.TensorSpec([None, FEATURES], tf.float32, name="x"),
    tf.TensorSpec([None], tf.int64, name="labels"),
    tf.TensorSpec([], tf.float32, name="loss_scale"),
]


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


def step(folder: Path) -> ModelSource:
    """A training step: two MatMuls, their gradients, updates with momentum, a count of steps.

    Outputs are ``loss``, and ``scale``: the loss scale that it was fed.
    """
    generator = np.random.default_rng(0)
    module = tf.Module()
    shapes = [(FEATURES, 32), (32, CLASSES)]
    module.weights = [tf.Variable(generator.normal(0, 0.2, s).astype(np.float32)) for s in shapes]
    module.momenta = [tf.Variable(tf.zeros(s)) for s in shapes]
    module.count = tf.Variable(0, dtype=tf.int64)

    def train(x: Any, labels: Any, loss_scale: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = tf.nn.relu(x @ module.weights[0]) @ module.weights[1]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            loss = tf.reduce_mean(losses)
            scaled = loss * loss_scale
        gradients = tape.gradient(scaled, module.weights)
        for weight, momentum, gradient in zip(
            module.weights, module.momenta, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.handle,
                accum=momentum.handle,
                lr=0.1,
                grad=gradient / loss_scale,
                momentum=0.9,
            )
        module.count.assign_add(1)
        return {"loss": loss, "scale": tf.identity(loss_scale)}

    module.train = tf.function(train, STEP_SPEC)
    tf.saved_model.save(module, str(folder), signatures={"train": module.train})
    return ModelSource(str(folder), "train", training=Training(STEPS, loss_scale=LOSS_SCALE))


def step_arrays() -> dict[str, Any]:
    """Data of :func:`step`."""
    labels = np.random.default_rng(1).integers(0, CLASSES, SAMPLES)
    return {"x": features(), "labels": labels}


def step_data(folder: Path, curves: int = 3) -> DataSource:
    """The same, in an order for each loss curve."""
    generator = np.random.default_rng(2)
    order = generator.integers(0, SAMPLES, curves * STEPS * BATCH)
    return data(folder, step_arrays(), order=order)


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
