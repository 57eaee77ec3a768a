"""Models with weights of a few hundred KiB, in the forms whose weights can lie outside a graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from amp_tuner.worker.protocol import ModelSource
from tests.runtime.loader_models import Example

ROWS, WIDTH, INNER = 1000, 64, 512
IDS = np.arange(0, ROWS, 7, dtype=np.int32)
X = np.random.default_rng(9).normal(size=(6, WIDTH)).astype(np.float32)


def weight(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32) / 8


class Wide(tf.Module):
    """An embedding, a loop of products, a product; one small variable."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(weight(0, ROWS, WIDTH), name="table")
        self.kernel = tf.Variable(weight(1, WIDTH, INNER), name="kernel")
        self.back = tf.Variable(weight(2, INNER, WIDTH), name="back")
        self.bias = tf.Variable(weight(3, INNER), name="bias")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="ids")])
    def serve(self, ids: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.gather(self.table, ids)

        def step(i: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, tf.matmul(tf.nn.relu(tf.matmul(y, self.kernel) + self.bias), self.back)

        _, rows = tf.while_loop(lambda i, _: i < 2, step, (tf.constant(0), rows))
        wide = tf.matmul(rows, self.kernel) + self.bias
        return {"wide": wide, "best": tf.argmax(wide, axis=1)}


def saved_model(folder: Path) -> Example:
    model = Wide()
    tf.saved_model.save(model, str(folder / "wide"), signatures=model.serve)
    outputs = {name: value.numpy() for name, value in model.serve(tf.constant(IDS)).items()}
    return Example(ModelSource(str(folder / "wide")), {"ids": IDS}, outputs)


def tf1(folder: Path) -> Example:
    """Reference variables, and a lookup table that the main op fills."""
    v1 = tf.compat.v1
    path = str(folder / "tf1")
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None], name="words")
        numbers = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["red", "green"], tf.constant([1, 2], tf.int32)), 0
        )
        table, kernel = (
            v1.get_variable(name, initializer=value, use_resource=False)
            for name, value in (
                ("table", weight(4, ROWS, WIDTH)),
                ("kernel", weight(5, WIDTH, 300)),
            )
        )
        found = tf.matmul(tf.gather(table, numbers.lookup(words)), kernel, name="found")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        feeds = {"text": np.array([b"red", b"green", b"mauve"], dtype=object)}
        expected = session.run(found, {words: feeds["text"]})
        signature = v1.saved_model.predict_signature_def({"text": words}, {"vector": found})
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"predict": signature}, main_op=v1.tables_initializer()
        )
        builder.save()
    return Example(ModelSource(path, "predict"), feeds, {"vector": expected})


def keras(folder: Path) -> Example:
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input([WIDTH], name="x"),
            layers.Dense(INNER, "relu"),
            layers.Dense(100, name="y"),
        ]
    )
    path = folder / "wide.keras"
    model.save(path)
    return Example(ModelSource(str(path)), {"x": X}, {"y": model(X).numpy()})


MAKERS: dict[str, Callable[[Path], Example]] = {
    "saved_model": saved_model,
    "tf1": tf1,
    "keras": keras,
}
