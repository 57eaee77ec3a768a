"""The study whose growth is measured: a model of many op types, timed on a model of a device.

Its metric waits for as long as a trial is to take, so that nobody's device is needed: the trials of
workers that wait run beside each other on any number of cores.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from experiments.common import ROOT

_MODEL = """
import sys
import numpy as np
import tensorflow as tf

WIDTH = 32
STEPS = (
    tf.tanh, tf.sigmoid, tf.square, tf.abs, tf.nn.relu, tf.nn.softplus, tf.nn.elu, tf.nn.selu,
    tf.nn.relu6, tf.nn.leaky_relu, tf.nn.softsign, tf.exp, tf.math.log1p, tf.sqrt,
    lambda x: tf.minimum(x, 1.0), lambda x: tf.maximum(x, 0.1), lambda x: x - 0.5,
)
generator = np.random.default_rng(0)


class Wide(tf.Module):
    def __init__(self):
        shape = (len(STEPS), WIDTH, WIDTH)
        self.weights = tf.Variable(generator.uniform(0, 2 / WIDTH, shape).astype("float32"))

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])
    def serve(self, x):
        for number, step in enumerate(STEPS):
            x = tf.matmul(step(x), self.weights[number])
            x = x / (1.0 + tf.reduce_max(tf.abs(x)))
        return {"score": tf.reduce_mean(x, axis=1, keepdims=True)}


model = Wide()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
"""
#: Candidate and FP32 are each scored once on all samples, and on parts for the interval.
_METRIC = """
import time


def score(outputs, labels, reference):
    time.sleep({seconds} / 2 if len(outputs) == {samples} else 0)
    return 1.0 - float(abs(outputs - reference).mean())
"""
_SAMPLES, _WIDTH, _HELD_BACK = 160, 32, 0.2


def make_study(folder: Path, trial_s: float, **keys: Any) -> Path:
    """Makes model, data and study file.

    Args:
        folder: where to; members keep their folders below it.
        trial_s: a trial of the search waits for so long.
        keys: of the study file, whole sections.
    """
    command = [sys.executable, "-c", _MODEL, str(folder / "model")]
    subprocess.run(command, check=True, capture_output=True)
    inputs = np.random.default_rng(1).uniform(0, 1, (_SAMPLES, _WIDTH)).astype(np.float32)
    np.savez(folder / "data.npz", x=inputs)
    shutil.copy(ROOT / "configs" / "devices" / "nvidia-t4.yaml", folder / "t4.yaml")
    searched = round(_SAMPLES * (1 - _HELD_BACK))
    metric = _METRIC.format(seconds=trial_s, samples=searched)
    (folder / "waiting.py").write_text(metric, encoding="utf-8")
    plain = {
        "name": "growth",
        "model": {"path": "model"},
        "target": {
            "runtime": "roofline",
            "device": "gpu",
            "data_types": ["float16"],
            "profile": "t4.yaml",
            "threads": {"intra_op": 1, "inter_op": 1},
        },
        "data": {"path": "data.npz", "batch_size": 32, "holdout": _HELD_BACK},
        "accuracy": {"metric": "waiting:score", "direction": "maximize", "goal": "50%"},
        "output": "run",
        **keys,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def search(trials: int) -> dict[str, Any]:
    """The search of a study that ends with its trials alone."""
    return {"trials": trials, "sampler": "amp", "seed": 0, "stop": "never"}
