"""Writes MobileNet as a frozen graph: ``python freeze_mobilenet.py PATH``, under any TensorFlow."""

from __future__ import annotations

import pathlib
import sys

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

model = tf.keras.applications.MobileNet(weights=None)
call = tf.function(lambda x: model(x, training=False))
traced = call.get_concrete_function(tf.TensorSpec([1, 224, 224, 3]))
frozen = convert_variables_to_constants_v2(traced).graph.as_graph_def()
pathlib.Path(sys.argv[1]).write_bytes(frozen.SerializeToString())
