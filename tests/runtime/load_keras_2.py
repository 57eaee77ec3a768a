"""Makes a file with Keras 2 (``tf_keras``) that Keras 3 cannot load, and loads it."""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
import tf_keras

from amp_tuner.runtime.loader import load_model
from amp_tuner.worker.protocol import ModelSource
from tests.runtime.loader_models import assert_outputs, run_frozen

path = sys.argv[1]
tokens = tf_keras.Input((5,), dtype="int32", name="tokens")
hidden = tf_keras.layers.LSTM(4)(tf_keras.layers.Embedding(10, 3)(tokens))
model = tf_keras.Model(tokens, tf_keras.layers.Dense(2, name="scores")(hidden))
model.save(path)
try:
    tf.keras.models.load_model(path, compile=False)
except ValueError:
    print("refused by Keras 3")
feeds = {"tokens": np.arange(10, dtype=np.int32).reshape(2, 5)}
expected = {"scores": model(feeds["tokens"]).numpy()}
assert_outputs(run_frozen(load_model(ModelSource(path)), feeds), expected)
print("loaded by Keras 2")
