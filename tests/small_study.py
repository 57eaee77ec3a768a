"""A whole study, small: a model with a table, data with labels, and a study file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

_MODEL = """
import sys
import numpy as np
import tensorflow as tf

generator = np.random.default_rng(0)


class Small(tf.Module):
    def __init__(self):
        self.table = tf.Variable(generator.normal(0, 0.3, (500, 32)).astype("float32"))
        self.dense = tf.Variable(generator.normal(0, 0.2, (32, 16)).astype("float32"))
        self.last = tf.Variable(generator.normal(0, 0.4, (16, 1)).astype("float32"))

    @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.int32, name="keys")])
    def serve(self, keys):
        rows = tf.gather(tf.convert_to_tensor(self.table), keys)
        summed = tf.reduce_sum(rows * rows, axis=1)
        hidden = tf.nn.relu(tf.matmul(summed, self.dense))
        return {"probability": tf.sigmoid(tf.matmul(hidden, self.last) - 1.0)}


model = Small()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
"""
SAMPLES = 600


def make_model(folder: Path) -> Path:
    """Saves the model as a SavedModel, from a process of its own."""
    path = folder / "model"
    command = [sys.executable, "-c", _MODEL, str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return path


def make_data(folder: Path) -> Path:
    """Writes keys and labels."""
    generator = np.random.default_rng(1)
    path = folder / "data.npz"
    keys = generator.integers(0, 500, (SAMPLES, 8)).astype(np.int32)
    np.savez(path, keys=keys, labels=generator.integers(0, 2, SAMPLES))
    return path


def study(model: Path, data: Path, **changes: dict[str, Any]) -> dict[str, Any]:
    """A study as a mapping; ``changes`` replace keys within sections."""
    plain: dict[str, Any] = {
        "name": "small",
        "model": {"path": str(model)},
        "target": {"threads": {"intra_op": 1, "inter_op": 1}},
        "data": {
            "path": str(data),
            "inputs": {"keys": "keys"},
            "labels": "labels",
            "batch_size": 64,
        },
        "accuracy": {"metric": "agreement", "threshold": 0.5, "goal": "90%", "also": ["auc"]},
        "search": {"trials": 8, "seed": 3},
        "measure": {"ci_half_width": 0.2, "max_seconds": 1.0, "min_block_ms": 2.0},
        "limits": {"trial_seconds": 60, "worker_memory": "4GiB"},
        "output": "run",
    }
    for section, values in changes.items():
        plain[section] = {**plain[section], **values} if isinstance(values, dict) else values
    return plain


def write_study(folder: Path, plain: dict[str, Any]) -> Path:
    """Writes a study file."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path
