"""The training step of train_cnn.yaml: a small convolutional network learns Fashion-MNIST.

This file is the study's model itself: amp-tune calls ``make_step`` in a worker. It needs nothing
but the target's TensorFlow. The pictures are those of fashion_cnn.yaml, made by

    python configs/models/fashion_mnist.py
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SEED = 0
IMAGES = tf.TensorSpec([None, 28, 28, 1], tf.float32, name="images")
LABELS = tf.TensorSpec([None], tf.int64, name="labels")
#: amp-tune feeds 1, and training.loss_scale where the step runs in float16.
LOSS_SCALE = tf.TensorSpec([], tf.float32, name="loss_scale")


def network() -> Any:
    """Two convolutions with pooling, then two dense layers; scores of ten classes."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def make_step() -> Any:
    """The step: forward, gradients and the optimizer's update; it gives the batch's loss."""
    # Every process begins with the same weights.
    tf.keras.utils.set_random_seed(SEED)
    model = network()
    optimizer = tf.keras.optimizers.SGD(learning_rate=0.02, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(input_signature=[IMAGES, LABELS, LOSS_SCALE])
    def step(images: Any, labels: Any, loss_scale: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            scores = model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            loss = tf.reduce_mean(losses)
            # Gradients too small for float16 would become 0.
            scaled = loss * loss_scale
        variables = model.trainable_variables
        gradients = [one / loss_scale for one in tape.gradient(scaled, variables)]
        optimizer.apply_gradients(zip(gradients, variables))
        return {"loss": loss}

    return step
