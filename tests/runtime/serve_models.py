"""Runs SavedModels as a server would, in a process of its own: no amp_tuner, no variables set.

    python serve_models.py FOLDER

For each ``FOLDER/NAME`` (a SavedModel) with ``NAME.npz`` (inputs) and ``NAME.key`` (signature):
writes ``NAME.out.npz``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

for given in sorted(Path(sys.argv[1]).glob("*.npz")):
    model = tf.saved_model.load(str(given.with_suffix("")))
    function = model.signatures[given.with_suffix(".key").read_text()]
    with np.load(given) as arrays:
        feeds = {name: tf.constant(arrays[name]) for name in arrays.files}
    outputs = {name: tensor.numpy() for name, tensor in function(**feeds).items()}
    np.savez(given.with_suffix(".out.npz"), **outputs)
