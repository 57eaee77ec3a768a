"""A whole study, small: a model with a table, data with labels, and a study file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
#: Numbers that 16 bits cannot hold decide what each part does. In FP32 all is well; an op type that
#: is made 16-bit gives 2048 for 2049, and the part that it belongs to goes wrong.
_NIGHT_MODEL = """
import sys
import numpy as np
import tensorflow as tf

raw = tf.raw_ops
PIXELS, POOLED = tf.ones([1, 2, 2, 1]), tf.ones([1, 1, 1, 1])


def number(value):
    # Through an integer: what is painted in one part never reaches the next.
    return tf.cast(tf.cast(value, tf.int32), tf.float32)


def aborts(one):
    wrong = tf.cast(tf.reduce_sum(tf.stack([2048 * one, one])), tf.int64) - 2049
    pool = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}
    argmax = tf.reshape(wrong * 10**9, [1, 1, 1, 1])
    return raw.MaxPoolGradWithArgmax(input=PIXELS, grad=POOLED, argmax=argmax, **pool)[0, 0, 0, 0]


def segfaults(one):
    wrong = tf.cast(tf.reduce_prod(tf.stack([683 * one, 3 * one])), tf.int64) - 2049
    return raw.FractionalMaxPoolGrad(
        orig_input=PIXELS,
        orig_output=POOLED,
        out_backprop=POOLED,
        row_pooling_sequence=tf.stack([wrong * 10**12, 2]),
        col_pooling_sequence=tf.constant([0, 2], tf.int64),
    )[0, 0, 0, 0]


def fills_memory(one):
    wrong = 2049 - tf.cast(tf.cumsum(tf.stack([2048 * one, one]))[1], tf.int32)
    return tf.reduce_max(tf.fill([1 + wrong * 500_000_000], one))


def never_ends(one):
    counted = tf.while_loop(lambda count: count < 2100, lambda count: count + 1, [one])[0]
    return tf.minimum(tf.cast(counted, tf.int32), 1)


def fills_disk(one):
    wrong = 2049 - tf.cast(tf.math.cumprod(tf.stack([683 * one, 3 * one]))[1], tf.int32)
    block = tf.strings.reduce_join(tf.fill([wrong * 4096], "x" * 65536))
    with tf.control_dependencies([tf.io.write_file("ballast", block)]):
        return tf.identity(one)


def prints(one):
    squared = raw.SquaredDifference(x=92 * one, y=one)
    wrong = tf.minimum(tf.abs(8281 - tf.cast(squared, tf.int32)), 1)

    def line(count):
        with tf.control_dependencies([tf.print("noise", count)]):
            return count + 1

    return 1 + tf.minimum(tf.while_loop(lambda count: count < wrong * 10**9, line, [0])[0], 0)


def harmless(one):
    value = tf.maximum(tf.square(one), one)
    return tf.reduce_mean(tf.stack([tf.minimum(value, one), tf.abs(-value)]))


class Night(tf.Module):
    def __init__(self):
        self.weights = tf.Variable(np.full((4, 1), 50_000, "float32"))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        one = tf.cast(tf.minimum(tf.shape(x)[0], 1), tf.float32)
        for part in (aborts, segfaults, fills_memory, never_ends, fills_disk, prints, harmless):
            one = number(part(one))
        return {"score": tf.matmul(x, self.weights) * 1e-5 * one}


model = Night()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
"""
#: FP32 counts further than BF16, for which 256 + 1 is 256. So one move, of Sum, makes this model
#: several times faster on any machine; others change its graph, but hardly its speed.
_COUNTING_MODEL = """
import sys
import numpy as np
import tensorflow as tf


class Counting(tf.Module):
    def __init__(self):
        self.weights = tf.Variable(np.random.default_rng(0).normal(0, 1, (4, 1)).astype("float32"))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        one = tf.cast(tf.minimum(tf.shape(x)[0], 1), tf.float32)
        more = tf.cast(tf.reduce_sum(tf.stack([tf.exp(one) * 0 + 256, one])), tf.int32) - 256
        counted = tf.while_loop(lambda step: step < 100 + 900 * more, lambda step: step + 1, [0])[0]
        nothing = tf.cast(tf.minimum(counted, 0), tf.float32)
        hidden = tf.matmul(tf.tanh(x), self.weights)
        return {"score": tf.sigmoid(tf.nn.softplus(hidden) - 1.0) + nothing}


model = Counting()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
"""
#: Of two products of the same op type, one decides how long the model runs (256 + 1 is 256 in
#: BF16, so that it counts less far), the other is the difference of two large numbers, which BF16
#: loses. Four more do no harm. So no list makes the model fast and right; a node's own does.
_TWO_PRODUCTS_MODEL = """
import sys
import tensorflow as tf


class TwoProducts(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        one = tf.cast(tf.minimum(tf.shape(x)[0], 1), tf.float32)
        with tf.name_scope("heavy"):
            more = tf.cast(tf.multiply(one, 257.0), tf.int32) - 256
        counted = tf.while_loop(lambda step: step < 100 + 900 * more, lambda step: step + 1, [0])[0]
        nothing = tf.cast(tf.minimum(counted, 0), tf.float32)
        total = tf.reduce_sum(x, axis=1)
        with tf.name_scope("cancelling"):
            difference = tf.multiply(total + 256.0, one) - 258.0
        for place in range(4):
            with tf.name_scope(f"harmless_{place}"):
                nothing = tf.multiply(nothing, one)
        return {"score": tf.sigmoid(difference) + nothing}


model = TwoProducts()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
"""
#: A training step, which the function of a Python file returns.
STEP = """
import tensorflow as tf


def make_step():
    tf.random.set_seed(0)
    weight = tf.Variable(tf.random.normal([16, 32], stddev=0.3))
    last = tf.Variable(tf.random.normal([32, 4], stddev=0.3))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 16], tf.float32, name="x"),
            tf.TensorSpec([None], tf.int64, name="labels"),
            tf.TensorSpec([], tf.float32, name="loss_scale"),
        ]
    )
    def step(x, labels, loss_scale):
        with tf.GradientTape() as tape:
            scores = tf.nn.relu(x @ weight) @ last
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            )
            scaled = loss * loss_scale
        for variable, gradient in zip((weight, last), tape.gradient(scaled, (weight, last))):
            variable.assign_sub(0.1 * gradient / loss_scale)
        return {"loss": loss}

    return step
"""
SAMPLES = 600


def make_model(folder: Path) -> Path:
    """Saves the model as a SavedModel, from a process of its own."""
    return _saved(_MODEL, folder / "model")


def make_night_model(folder: Path) -> Path:
    """Saves a model that goes wrong in 16 bits in seven ways.

    Made 16-bit, Sum aborts, else Prod segfaults, else Cumsum takes 2 GB, else AddV2 never ends,
    else Cumprod writes a file of 256 MiB, else SquaredDifference prints without end; MatMul
    overflows in FP16.
    """
    return _saved(_NIGHT_MODEL, folder / "night")


def make_counting_model(folder: Path) -> Path:
    """Saves a model that is several times faster with Sum in BF16."""
    return _saved(_COUNTING_MODEL, folder / "counting")


def make_two_products_model(folder: Path) -> Path:
    """Saves a model that is fast with one of its Mul nodes in BF16, and wrong with another."""
    return _saved(_TWO_PRODUCTS_MODEL, folder / "two-products")


def counting_study(model: Path, data: Path, /, **changes: dict[str, Any]) -> dict[str, Any]:
    """A study of that model as a mapping; its data are those of the model that goes wrong."""
    plain = study(model, data)
    plain["target"] |= {"data_types": ["bfloat16"]}
    plain["data"] = {"path": str(data), "batch_size": 64}
    plain["accuracy"] = {"metric": "agreement", "threshold": 0.5, "goal": "90%"}
    return changed(plain, **changes)


def _saved(source: str, path: Path) -> Path:
    command = [sys.executable, "-c", source, str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return path


def make_data(folder: Path) -> Path:
    """Writes keys and labels."""
    generator = np.random.default_rng(1)
    path = folder / "data.npz"
    keys = generator.integers(0, 500, (SAMPLES, 8)).astype(np.int32)
    np.savez(path, keys=keys, labels=generator.integers(0, 2, SAMPLES))
    return path


def make_night_data(folder: Path) -> Path:
    """Writes inputs of the model that goes wrong; some of its FP16 sums are infinite."""
    path = folder / "night.npz"
    np.savez(path, x=np.random.default_rng(2).uniform(0, 1, (SAMPLES, 4)).astype(np.float32))
    return path


def minimal(table: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of ``trials.csv`` are minimal settings: the search did not propose them."""
    return table["anchor"].str.startswith("minimal of ", na=False)


def proposed_and_measured(table: pd.DataFrame) -> int:
    """How many trials count for ``search.trials``."""
    return int((table["cached_from"].isna() & ~minimal(table)).sum())


def night_study(model: Path, data: Path, /, **changes: dict[str, Any]) -> dict[str, Any]:
    """A study of that model as a mapping: each trouble is a move to ALLOW away."""
    plain = study(model, data)
    # One of its parts writes a file.
    plain["model"] |= {"allow_unsafe": True}
    plain["data"] = {"path": str(data), "batch_size": 64}
    plain["accuracy"] = {"metric": "agreement", "threshold": 1.0, "goal": "90%"}
    plain["search"] |= {
        "op_types": ["AddV2", "Cumsum", "Mul", "Prod", "Sum"],
        "lists": ["allow", "deny"],
    }
    return changed(plain, **changes)


def study(model: Path, data: Path, /, **changes: dict[str, Any]) -> dict[str, Any]:
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
        # What TPE proposes depends on timing; what the random sampler does is known beforehand.
        "search": {"trials": 10, "sampler": "random", "seed": 3},
        "measure": {"ci_half_width": 0.2, "max_seconds": 1.0, "min_block_ms": 2.0, "processes": 1},
        "limits": {"trial_seconds": 60, "worker_memory": "4GiB"},
        "output": "run",
    }
    return changed(plain, **changes)


def changed(plain: dict[str, Any], /, **changes: dict[str, Any]) -> dict[str, Any]:
    """A study with other values; a mapping replaces keys within its section."""
    merged = {
        section: {**plain.get(section, {}), **values} if isinstance(values, dict) else values
        for section, values in changes.items()
    }
    return {**plain, **merged}


def write_study(folder: Path, plain: dict[str, Any]) -> Path:
    """Writes a study file."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path
