"""Makes models/guide_lists.pb: the chain by which Intel's guide explains the four lists.

    python configs/models/guide_lists.py

The figure of "Tune Advanced Auto Mixed Precision" shows eleven nodes in a row and the list of each;
the op types are ours, with the same lists by ITEX's rules and by stock TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from making import ROOT
from tensorflow.core.framework import graph_pb2

SIDE = 4
Tensor = Any


def graph_def() -> graph_pb2.GraphDef:
    """Nodes ``node1`` to ``node11``, and ``output``."""
    with tf.Graph().as_default() as graph:
        product = partial(tf.linalg.matmul, b=np.eye(SIDE, dtype=np.float32))
        steps: tuple[Callable[..., Tensor], ...] = (
            tf.exp,  # DENY
            tf.sqrt,  # INFER
            tf.nn.relu,  # CLEAR
            tf.tanh,  # INFER
            tf.nn.relu,  # CLEAR
            product,  # ALLOW
            tf.tanh,  # INFER
            tf.nn.relu,  # CLEAR
            product,  # ALLOW
            tf.sigmoid,  # INFER
            tf.exp,  # DENY
        )
        tensor = tf.compat.v1.placeholder(tf.float32, [None, SIDE], name="input")
        for number, step in enumerate(steps, start=1):
            tensor = step(tensor, name=f"node{number}")
        tf.identity(tensor, name="output")
    return graph.as_graph_def()


if __name__ == "__main__":
    path = ROOT / "models" / "guide_lists.pb"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(graph_def().SerializeToString())
    print(f"wrote {path}")
