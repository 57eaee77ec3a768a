"""Whole models with random weights, as the graphs that a session would run."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

APPLICATIONS = {
    "ConvNeXtTiny": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "NASNetMobile": 64,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "VGG16": 64,
    "Xception": 75,
}


def _traced(model: Callable, spec: tf.TensorSpec) -> graph_pb2.GraphDef:
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    return traced.graph.as_graph_def()


def frozen(model: Callable, spec: tf.TensorSpec) -> graph_pb2.GraphDef:
    """With weights as constants and loops of the old kind."""
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    return convert_variables_to_constants_v2(traced, lower_control_flow=True).graph.as_graph_def()


def application(name: str) -> graph_pb2.GraphDef:
    """A model of ``keras.applications`` without its classifier."""
    side = APPLICATIONS[name]
    make = getattr(tf.keras.applications, name)
    model = make(weights=None, include_top=False, input_shape=(side, side, 3), pooling="avg")
    return _traced(model, tf.TensorSpec([1, side, side, 3]))


def transformer() -> graph_pb2.GraphDef:
    """A Transformer encoder of two layers over token numbers."""
    layers = tf.keras.layers
    tokens = layers.Input([16], dtype="int32")
    y = layers.Embedding(100, 32)(tokens)
    for _ in range(2):
        y = layers.LayerNormalization()(y + layers.MultiHeadAttention(4, 8)(y, y))
        y = layers.LayerNormalization()(y + layers.Dense(32)(layers.Dense(64, "gelu")(y)))
    model = tf.keras.Model(tokens, layers.Dense(5, "softmax")(layers.GlobalMaxPool1D()(y)))
    return _traced(model, tf.TensorSpec([2, 16], tf.int32))


def recurrent(kind: str, *, make: Callable) -> graph_pb2.GraphDef:
    """Two layers of LSTM or GRU; made by ``frozen``: loops as Switch, Merge, with TensorLists."""
    layers = tf.keras.layers
    layer = getattr(layers, kind)
    model = tf.keras.Sequential(
        [layers.Input([6, 4]), layer(8, return_sequences=True), layer(8), layers.Dense(3)]
    )
    return make(model, tf.TensorSpec([2, 6, 4]))


def u_net() -> graph_pb2.GraphDef:
    """Down, up by resizing, and joined again."""
    layers = tf.keras.layers
    image = layers.Input([32, 32, 3])
    down = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(down)
    deep = layers.BatchNormalization()(deep)
    up = layers.UpSampling2D(interpolation="bilinear")(deep)
    near = layers.UpSampling2D()(deep)
    joined = layers.Concatenate()([up, near, down])
    out = layers.Conv2DTranspose(4, 3, padding="same")(joined)
    return _traced(tf.keras.Model(image, out), tf.TensorSpec([1, 32, 32, 3]))


def training() -> graph_pb2.GraphDef:
    """One step of training a small convolutional net, with gradients."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input([16, 16, 3]),
            layers.Conv2D(8, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3),
            layers.AveragePooling2D(2),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )

    def step(images):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits, logits))
        return sum(tf.reduce_sum(g) for g in tape.gradient(loss, model.trainable_variables))

    traced = tf.function(step).get_concrete_function(tf.TensorSpec([2, 16, 16, 3]))
    return traced.graph.as_graph_def()


OTHERS: dict[str, Callable[[], graph_pb2.GraphDef]] = {
    "Transformer": transformer,
    "LSTM": lambda: recurrent("LSTM", make=_traced),
    "GRU": lambda: recurrent("GRU", make=_traced),
    "LSTM with loops of the old kind": lambda: recurrent("LSTM", make=frozen),
    "GRU with loops of the old kind": lambda: recurrent("GRU", make=frozen),
    "U-Net": u_net,
    "training": training,
}
