"""Small models in every form that the loader takes, with inputs and the outputs to expect.

Also run as a program under another interpreter (``python loader_models.py FOLDER``): makes every
model there, loads each and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from amp_tuner.runtime.loader import FrozenModel, load_model
from amp_tuner.worker.protocol import ModelSource

Arrays = Mapping[str, Any]
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
WORDS = np.array([b"red", b"green", b"mauve"], dtype=object)


@dataclass(frozen=True)
class Example:
    """A model with what it computes."""

    source: ModelSource
    feeds: Arrays
    expected: Arrays


class Tf2Model(tf.Module):
    """Weights, a table that an asset fills, a loop; one signature for each."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        self.weights = tf.Variable(random.normal(size=(4, 2)).astype(np.float32), name="weights")
        self.bias = tf.Variable([0.5, -0.5], name="bias")
        vocabulary = folder / "colours.txt"
        vocabulary.write_text("red\ngreen\nblue\n")
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=-1,
        )

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def layer(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(tf.matmul(x, self.weights) + self.bias)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="features")])
    def serve(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self.layer(features)
        return {"scores": scores, "best": tf.argmax(scores, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def look_up(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"index": self.table.lookup(words)}

    @tf.function(input_signature=[tf.TensorSpec([3, 4], tf.float32, name="start")])
    def repeat(self, start: tf.Tensor) -> dict[str, tf.Tensor]:
        def step(i: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, x * 0.5 + tf.reduce_sum(self.weights)

        _, end = tf.while_loop(lambda i, x: i < 3, step, (tf.constant(0), start))
        return {"end": end}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="by")])
    def count(self, by: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"bias": self.bias.assign_add([1.0, 1.0] * by)}


def make_saved_model(folder: Path) -> dict[str, Example]:
    """A TensorFlow 2 SavedModel with several signatures."""
    model = Tf2Model(folder)
    path = str(folder / "saved_model")
    signatures = {
        "serving_default": model.serve,
        "look_up": model.look_up,
        "repeat": model.repeat,
        "count": model.count,
    }
    tf.saved_model.save(model, path, signatures=signatures)
    scores = model.layer(tf.constant(X)).numpy()
    return {
        "saved_model": Example(
            ModelSource(path), {"features": X}, {"scores": scores, "best": scores.argmax(axis=1)}
        ),
        "saved_model_table": Example(
            ModelSource(path, "look_up"), {"words": WORDS}, {"index": np.array([0, 1, -1])}
        ),
        "saved_model_loop": Example(
            ModelSource(path, "repeat"),
            {"start": X},
            {"end": model.repeat(tf.constant(X))["end"].numpy()},
        ),
    }


def make_tf1_saved_model(folder: Path) -> dict[str, Example]:
    """A TensorFlow 1 SavedModel: reference variables, strings, a table filled by the main op."""
    v1 = tf.compat.v1
    path = str(folder / "tf1")
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None], name="words")
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["red", "green"], tf.constant([1, 2], tf.int32)), 0
        )
        embedding = v1.get_variable(
            "embedding",
            initializer=np.arange(6, dtype=np.float32).reshape(3, 2),
            use_resource=False,
        )
        found = tf.gather(embedding, table.lookup(words), name="found")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        signature = v1.saved_model.predict_signature_def({"text": words}, {"vector": found})
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"predict": signature}, main_op=v1.tables_initializer()
        )
        builder.save()
    expected = np.array([[2, 3], [4, 5], [0, 1]], np.float32)
    return {"tf1": Example(ModelSource(path, "predict"), {"text": WORDS}, {"vector": expected})}


def make_keras(folder: Path) -> dict[str, Example]:
    """A functional model with two outputs, as ``.keras`` and ``.h5``; one with a vocabulary."""
    keras = tf.keras
    image = keras.Input((4,), name="image")
    flags = keras.Input((3,), name="flags")
    hidden = keras.layers.BatchNormalization()(keras.layers.Concatenate()([image, flags]))
    score = keras.layers.Dense(2, name="score")(hidden)
    chance = keras.layers.Dense(1, activation="sigmoid", name="chance")(hidden)
    model = keras.Model([image, flags], [score, chance])
    feeds = {"image": X, "flags": X[:, :3].copy()}
    outputs = [output.numpy() for output in model(list(feeds.values()), training=False)]
    expected = dict(zip(["score", "chance"], outputs))
    examples = {}
    for suffix in ("keras", "h5"):
        path = str(folder / f"functional.{suffix}")
        model.save(path)
        examples[suffix] = Example(ModelSource(path), feeds, expected)
    text = keras.Sequential(
        [
            keras.layers.InputLayer((1,), dtype="string", name="colour"),
            keras.layers.StringLookup(vocabulary=["red", "green"], name="number"),
        ]
    )
    path = str(folder / "text.keras")
    text.save(path)
    words = WORDS.reshape(3, 1)
    examples["keras_table"] = Example(
        ModelSource(path), {"colour": words}, {"number": np.array([[1], [2], [0]])}
    )
    return examples


def make_graph_def(folder: Path) -> dict[str, Example]:
    """A frozen graph with two outputs and a fixed batch."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [3, 4], name="x")
        middle = tf.multiply(x, 2.0, name="middle")
        tf.nn.relu(middle, name="relu")
        tf.reduce_sum(middle, axis=1, name="total")
    path = folder / "frozen.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    outputs = {"relu": np.maximum(2 * X, 0), "total": (2 * X).sum(axis=1)}
    return {
        "pb": Example(ModelSource(str(path)), {"x": X}, outputs),
        "pb_fetched": Example(
            ModelSource(str(path), fetches=("middle",)), {"x": X}, {"middle": 2 * X}
        ),
    }


MAKERS: tuple[Callable[[Path], dict[str, Example]], ...] = (
    make_saved_model,
    make_tf1_saved_model,
    make_keras,
    make_graph_def,
)
NAMES = (
    *("saved_model", "saved_model_table", "saved_model_loop", "tf1"),
    *("keras", "h5", "keras_table", "pb", "pb_fetched"),
)


def make_all(folder: Path) -> dict[str, Example]:
    """Every example by its name, as in NAMES."""
    return {name: example for make in MAKERS for name, example in make(folder).items()}


def run_frozen(model: FrozenModel, feeds: Arrays) -> dict[str, Any]:
    """One run of a frozen model in a session of its own."""
    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.import_graph_def(model.graph_def, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        if model.initializers:
            session.run(list(model.initializers))
        given = {model.feeds[name]: array for name, array in feeds.items()}
        outputs: dict[str, Any] = session.run(dict(model.fetches), given)
    return outputs


def assert_outputs(found: Arrays, expected: Arrays) -> None:
    """The same names, and values but for rounding."""
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


if __name__ == "__main__":
    made = make_all(Path(sys.argv[1]))
    assert tuple(made) == NAMES
    for name, example in made.items():
        assert_outputs(run_frozen(load_model(example.source), example.feeds), example.expected)
        print("loaded", name)
