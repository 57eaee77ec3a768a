"""Makes a SavedModel whose weights exceed 2 GiB, in a process of its own.

    python make_large_model.py FOLDER

writes ``FOLDER/large`` (the model), ``FOLDER/x.npy`` (an input) and ``FOLDER/y.npy`` (its output).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

WIDE, NARROW = 16384, 8448
LAYERS = 4


class Large(tf.Module):
    """Four products; each weight has 528 MiB."""

    def __init__(self) -> None:
        super().__init__()
        chance = np.random.default_rng(0)
        self.kernels = []
        for layer in range(LAYERS):
            shape = (WIDE, NARROW) if layer % 2 == 0 else (NARROW, WIDE)
            values = chance.random(shape, np.float32)
            values -= 0.5
            values /= 64
            self.kernels.append(tf.Variable(values, name=f"kernel{layer}"))
            del values

    @tf.function(input_signature=[tf.TensorSpec([None, WIDE], tf.float32, name="x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        for kernel in self.kernels[:-1]:
            x = tf.nn.relu(tf.matmul(x, kernel))
        return {"y": tf.matmul(x, self.kernels[-1])}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    model = Large()
    x = np.random.default_rng(1).normal(size=(2, WIDE)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", model.serve(tf.constant(x))["y"].numpy())
    tf.saved_model.save(model, str(folder / "large"), signatures=model.serve)
