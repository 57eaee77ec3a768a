"""Makes the model and the data of xla_decoder.yaml: one step of a Transformer decoder.

    python configs/models/decoder.py

A step takes the newest token of a text, and the keys and values of all tokens before it, and gives
scores of what comes next: how a language model writes, token after token. The layers are those of
Radford et al.: "Language Models are Unsupervised Multitask Learners" (GPT-2), normalisation first,
with random, seeded weights: no package carries trained ones of a size for tests. Made are

    models/decoder             SavedModel: token, int32 (batch); keys and values, float32
                               (batch, layers, heads, past, width of a head); scores of 8,192 words,
                               keys and values of the new token
    data/decoder.npz           random texts of 64 tokens, as the network's own keys and values
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from making import ROOT, run

LAYERS = 4
WIDTH = 512
HEADS = 8
WORDS = 8192
PAST = 64
TEXTS = 64
SEED = 0
EPSILON = 1e-5


class Decoder(tf.Module):
    """The layers, with random weights."""

    def __init__(self, generator: np.random.Generator) -> None:
        super().__init__()
        self._generator = generator
        self._words = self._random(WORDS, WIDTH)
        self._places = self._random(PAST + 1, WIDTH)
        self._layers = [
            {
                "attention": self._random(WIDTH, 3 * WIDTH),
                "joined": self._random(WIDTH, WIDTH),
                "wide": self._random(WIDTH, 4 * WIDTH),
                "narrow": self._random(4 * WIDTH, WIDTH),
            }
            for _ in range(LAYERS)
        ]

    def _random(self, *shape: int) -> tf.Variable:
        """Weights that keep the size of what they are multiplied with."""
        values = self._generator.normal(0, shape[0] ** -0.5, shape)
        return tf.Variable(values.astype(np.float32))

    def step(
        self, token: tf.Tensor, keys: tf.Tensor, values: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Scores of the next word; key and value of this one, (batch, layers, heads, 1, width)."""
        place = self._places[tf.shape(keys)[3]]
        x = tf.gather(self._words, token) * WORDS**0.5 + place * PAST**0.5
        found = []
        for number, weights in enumerate(self._layers):
            y, *new = self._attention(norm(x), keys[:, number], values[:, number], weights)
            x += tf.matmul(y, weights["joined"])
            x += tf.matmul(tf.nn.gelu(tf.matmul(norm(x), weights["wide"])), weights["narrow"])
            found.append(new)
        key, value = (tf.stack(parts, 1) for parts in zip(*found))
        return (
            tf.matmul(norm(x), self._words, transpose_b=True) * (WORDS / WIDTH) ** 0.5,
            key,
            value,
        )

    def _attention(
        self, x: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, weights: dict[str, tf.Variable]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Of the new token to all tokens up to itself; the new key and value."""
        parts = tf.split(tf.matmul(x, weights["attention"]), 3, -1)
        query, key, value = (tf.reshape(part, [-1, HEADS, 1, WIDTH // HEADS]) for part in parts)
        keys, values = tf.concat([keys, key], 2), tf.concat([values, value], 2)
        scores = tf.matmul(query, keys, transpose_b=True) * (WIDTH // HEADS) ** -0.5
        y = tf.matmul(tf.nn.softmax(scores), values)
        return tf.reshape(y, [-1, WIDTH]), key, value


def norm(x: tf.Tensor) -> tf.Tensor:
    """Layer normalisation as it is before training."""
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, None, None, EPSILON)


def save(path: Path, decoder: Decoder) -> None:
    """Writes the SavedModel."""
    cache = [None, LAYERS, HEADS, PAST, WIDTH // HEADS]
    signature = [
        tf.TensorSpec([None], tf.int32, "token"),
        tf.TensorSpec(cache, tf.float32, "keys"),
        tf.TensorSpec(cache, tf.float32, "values"),
    ]

    def serve(token: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> dict[str, tf.Tensor]:
        scores, key, value = decoder.step(token, keys, values)
        return {"scores": scores, "key": key, "value": value}

    decoder.serve = tf.function(serve, signature)
    tf.saved_model.save(decoder, str(path), {"serving_default": decoder.serve})


def make(model_path: Path, data_path: Path) -> None:
    """Writes the model and the data."""
    generator = np.random.default_rng(SEED)
    decoder = Decoder(generator)
    texts = generator.integers(0, WORDS, (TEXTS, PAST + 1), np.int32)
    keys = values = tf.zeros([TEXTS, LAYERS, HEADS, 0, WIDTH // HEADS])
    for number in range(PAST):
        _, key, value = decoder.step(tf.constant(texts[:, number]), keys, values)
        keys, values = tf.concat([keys, key], 3), tf.concat([values, value], 3)
    save(model_path, decoder)
    np.savez(data_path, token=texts[:, PAST], keys=keys.numpy(), values=values.numpy())


if __name__ == "__main__":
    run(Path(__file__), make, ROOT / "models" / "decoder", ROOT / "data" / "decoder.npz")
