"""Makes a bag of words and pairs of words with a table each: which topic is a definition about?

    python configs/models/topics.py

The definitions are those of WordNet's nouns under eight topics (see wordnet.py). The model is that
of Joulin, Grave, Bojanowski and Mikolov ("Bag of Tricks for Efficient Text Classification",
arXiv:1607.01759): words, and pairs of words that follow each other, are hashed to the rows of two
tables; the mean of a text's rows goes through one matrix. What it costs is moving rows. Made are

    models/topics              SavedModel: words and pairs, int32 (batch, 16) -> the chances of
                               eight topics, float32 (batch, 8)
    data/topics.npz            words and pairs of definitions that training did not see; topics
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from making import ROOT, run
from numpy.typing import NDArray
from wordnet import TOPICS, every

#: Words of a text that count; row 0 of a table stands for none, and is 0.
WORDS = 16
#: Rows of the table of words (32 MiB) and of that of pairs (128 MiB in 32 bits).
ROWS = {"words": 2**16, "pairs": 2**18}
WIDTH = 128

HELD_BACK = 16_384
EPOCHS = 10
BATCH = 256
LEARNING_RATE = 2.0
INITIAL_SCALE = 0.05
SEED = 0


def hashed(sentences: Sequence[str]) -> dict[str, NDArray[np.int32]]:
    """The tables' rows of each text: ``words`` and ``pairs``, each int32 of shape (texts, 16)."""
    ids = {name: np.zeros((len(sentences), WORDS), np.int32) for name in ROWS}
    for number, sentence in enumerate(sentences):
        words = re.findall(r"\w+", sentence.lower())[:WORDS]
        found = {"words": words, "pairs": list(map(" ".join, zip(words, words[1:])))}
        for name, parts in found.items():
            rows = [1 + zlib.crc32(part.encode()) % (ROWS[name] - 1) for part in parts]
            ids[name][number, : len(rows)] = rows
    return ids


class Bag(tf.Module):
    """The mean of rows, through one matrix."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(SEED)
        self.tables = {}
        for name, rows in ROWS.items():
            start = random.standard_normal((rows, WIDTH), np.float32) * np.float32(INITIAL_SCALE)
            start[0] = 0
            self.tables[name] = tf.Variable(start, name=name)
        self.weights = tf.Variable(tf.zeros([WIDTH, len(TOPICS)]), name="weights")
        self.bias = tf.Variable(tf.zeros([len(TOPICS)]), name="bias")
        ids = [tf.TensorSpec([None, WORDS], tf.int32, name) for name in ROWS]
        self.serve = tf.function(self._serve, input_signature=ids)

    def scores(self, words: tf.Tensor, pairs: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """From the rows of words and of pairs, each (batch, 16, width), to (batch, topics)."""
        total = tf.reduce_sum(words, axis=1) + tf.reduce_sum(pairs, axis=1)
        mean = total / tf.cast(counts, tf.float32)[:, tf.newaxis]
        return tf.nn.bias_add(tf.matmul(mean, self.weights), self.bias)

    def _serve(self, words: tf.Tensor, pairs: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = (tf.gather(self.tables[name], ids) for name, ids in zip(ROWS, (words, pairs)))
        return {"topics": tf.nn.softmax(self.scores(*rows, counts=counted(words, pairs)))}


def counted(words: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
    """How many rows each text has; at least one."""
    some = [tf.math.count_nonzero(ids, axis=1, dtype=tf.int32) for ids in (words, pairs)]
    return tf.maximum(some[0] + some[1], 1)


@tf.function
def step(
    model: Bag, words: tf.Tensor, pairs: tf.Tensor, topics: tf.Tensor, rate: tf.Tensor
) -> None:
    """One batch of stochastic gradient descent, which touches only the rows of the batch."""
    ids = dict(zip(ROWS, (words, pairs)))
    rows = {name: tf.gather(model.tables[name], ids[name]) for name in ROWS}
    with tf.GradientTape() as tape:
        tape.watch(list(rows.values()))
        scores = model.scores(rows["words"], rows["pairs"], counted(words, pairs))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(topics, scores)
    slopes = tape.gradient(losses, [*rows.values(), model.weights, model.bias])
    for name, slope in zip(ROWS, slopes):
        # Row 0 stays 0.
        real = tf.cast(ids[name] != 0, tf.float32)[..., tf.newaxis]
        flat = tf.reshape(slope * real, [-1, WIDTH])
        model.tables[name].scatter_sub(tf.IndexedSlices(rate * flat, tf.reshape(ids[name], [-1])))
    model.weights.assign_sub(rate * slopes[2] / float(BATCH))
    model.bias.assign_sub(rate * slopes[3] / float(BATCH))


def train(ids: dict[str, NDArray[np.int32]], topics: NDArray[np.int64]) -> Bag:
    """A trained model; the rate falls to 0 in a straight line."""
    model = Bag()
    steps = EPOCHS * (len(topics) // BATCH)
    done = 0
    for epoch in range(EPOCHS):
        order = np.random.default_rng((SEED, epoch)).permutation(len(topics))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[first : first + BATCH]
            rate = tf.constant(LEARNING_RATE * (1 - done / steps), tf.float32)
            step(model, *(tf.constant(ids[name][batch]) for name in ROWS), topics[batch], rate)
            done += 1
    return model


def make(model_path: Path, data_path: Path) -> None:
    """Trains, tests and writes."""
    tf.config.experimental.enable_op_determinism()
    sentences, topics = every(SEED)
    ids = hashed(sentences)
    model = train({name: ids[name][HELD_BACK:] for name in ROWS}, topics[HELD_BACK:])
    held_back = {name: ids[name][:HELD_BACK] for name in ROWS}
    chances = model.serve(*(tf.constant(held_back[name]) for name in ROWS))["topics"].numpy()
    right = float((chances.argmax(axis=1) == topics[:HELD_BACK]).mean())
    print(f"topics that are right among definitions held back: {right:.3f}")
    tf.saved_model.save(model, str(model_path), {"serving_default": model.serve})
    np.savez(data_path, **held_back, topics=topics[:HELD_BACK])


if __name__ == "__main__":
    run(Path(__file__), make, ROOT / "models" / "topics", ROOT / "data" / "topics.npz")
