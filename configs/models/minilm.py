"""Makes MiniLM with its trained weights and a labelled probe: which topic is a text about?

    python configs/models/minilm.py

The network is a BERT of six layers (Devlin, Chang, Lee, Toutanova, arXiv:1810.04805), distilled as
Wang et al. describe ("MiniLM", arXiv:2002.10957) and trained on pairs of sentences as
all-MiniLM-L6-v2; a vector is the mean over a sentence's tokens, of length 1. The probe is a
logistic regression from vectors to eight topics, trained here on definitions of WordNet (see
wordnet.py); the network itself is not trained further. Made are

    models/minilm              SavedModel: ids and mask, int32 (batch, tokens); vectors of 384, and
                               the chances of eight topics
    data/minilm.npz            1,024 definitions that the probe did not see, 32 tokens each; topics
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import tensorflow as tf
from making import ROOT, run
from numpy.typing import NDArray
from packaged import packaged_model
from sklearn.linear_model import LogisticRegression
from wordnet import split

LAYERS = 6
WIDTH = 384
HEADS = 12
#: From the package's config.json.
EPSILON = 1e-12
TOKENS = 32
#: Texts of each topic that the probe learns from, and others.
TRAINING, TEST = 250, 128
#: Texts of which vectors are computed at once.
BATCH = 125
SEED = 0


def trained(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 weights in a file of safetensors: a length, a header in JSON, the values."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    found = {}
    for name, entry in json.loads(content[8:begin]).items():
        if entry.get("dtype") == "F32":
            start, end = (begin + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(content[start:end], "<f4").reshape(entry["shape"])
    return found


class Encoder(tf.Module):
    """The layers, with the package's names for their weights."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        super().__init__()
        self._weights = {name: tf.Variable(value, name=name) for name, value in weights.items()}

    def dense(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """PyTorch has a matrix's outputs first."""
        y = tf.matmul(x, self._weights[f"{name}.weight"], transpose_b=True)
        return tf.nn.bias_add(y, self._weights[f"{name}.bias"])

    def norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Layer normalisation."""
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        scale, offset = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, EPSILON)

    def attention(self, x: tf.Tensor, hidden: tf.Tensor, name: str) -> tf.Tensor:
        """Of all tokens of a sentence to all; ``hidden`` is added to the scores."""
        tokens = tf.shape(hidden)[-1]

        def heads(part: str) -> tf.Tensor:
            y = tf.reshape(
                self.dense(x, f"{name}.self.{part}"), [-1, tokens, HEADS, WIDTH // HEADS]
            )
            return tf.transpose(y, [0, 2, 1, 3])

        scores = tf.matmul(heads("query"), heads("key"), transpose_b=True)
        chances = tf.nn.softmax(scores / (WIDTH // HEADS) ** 0.5 + hidden)
        y = tf.transpose(tf.matmul(chances, heads("value")), [0, 2, 1, 3])
        y = self.dense(tf.reshape(y, [-1, WIDTH]), f"{name}.output.dense")
        return self.norm(x + y, f"{name}.output.LayerNorm")

    def vectors(self, ids: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Shape (batch, 384), each of length 1; tokens that do not count have mask 0."""
        words = tf.gather(self._weights["embeddings.word_embeddings.weight"], ids)
        places = self._weights["embeddings.position_embeddings.weight"][: tf.shape(ids)[1]]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(tf.reshape(words + places + kind, [-1, WIDTH]), "embeddings.LayerNorm")
        counts = tf.cast(mask, tf.float32)
        hidden = (counts[:, tf.newaxis, tf.newaxis] - 1) * 10_000
        for number in range(LAYERS):
            name = f"encoder.layer.{number}"
            x = self.attention(x, hidden, f"{name}.attention")
            y = tf.nn.gelu(self.dense(x, f"{name}.intermediate.dense"))
            x = self.norm(x + self.dense(y, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        x = tf.reshape(x, [-1, tf.shape(ids)[1], WIDTH])
        return tf.nn.l2_normalize(tf.reduce_sum(x * counts[..., tf.newaxis], 1), -1)


def encoder() -> Encoder:
    """The network with its trained weights."""
    return Encoder(trained(packaged_model("minilm") / "model.safetensors"))


def save(path: Path, made: Encoder, probe: LogisticRegression) -> None:
    """Writes the SavedModel."""
    weights, bias = (
        tf.Variable(value.astype(np.float32)) for value in (probe.coef_.T, probe.intercept_)
    )

    def serve(ids: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        vectors = made.vectors(ids, mask)
        chances = tf.nn.softmax(tf.nn.bias_add(tf.matmul(vectors, weights), bias))
        return {"vectors": vectors, "topics": chances}

    made.probe = (weights, bias)
    signature = [tf.TensorSpec([None, None], tf.int32, name) for name in ("ids", "mask")]
    made.serve = tf.function(serve, signature)
    tf.saved_model.save(made, str(path), {"serving_default": made.serve})


class Tokenizer:
    """Word pieces: the longest ones in the vocabulary, from left to right; no accents."""

    def __init__(self) -> None:
        text = (packaged_model("minilm") / "vocab.txt").read_text(encoding="utf-8")
        self._ids = {piece: number for number, piece in enumerate(text.splitlines())}

    def _pieces(self, word: str) -> list[int]:
        found: list[int] = []
        while word:
            prefix = "##" if found else ""
            ends = (end for end in range(len(word), 0, -1) if prefix + word[:end] in self._ids)
            end = next(ends, None)
            if end is None:
                return [self._ids["[UNK]"]]
            found.append(self._ids[prefix + word[:end]])
            word = word[end:]
        return found

    def tokens(self, sentences: list[str]) -> dict[str, NDArray[np.int32]]:
        """The arrays ids and mask, each of shape (sentences, 32)."""
        ids = np.zeros((len(sentences), TOKENS), np.int32)
        for row, sentence in zip(ids, sentences):
            words = re.findall(r"\w+|[^\w\s]", sentence.lower())
            pieces = [piece for word in words for piece in self._pieces(word)][: TOKENS - 2]
            row[: len(pieces) + 2] = [self._ids["[CLS]"], *pieces, self._ids["[SEP]"]]
        return {"ids": ids, "mask": (ids != self._ids["[PAD]"]).astype(np.int32)}


def trained_probe(
    made: Encoder, tokens: dict[str, NDArray[np.int32]], labels: NDArray[np.int64]
) -> LogisticRegression:
    """Learns topics from vectors."""
    vectors = tf.function(made.vectors)
    parts = [
        vectors(*(tf.constant(tokens[name][start : start + BATCH]) for name in ("ids", "mask")))
        for start in range(0, len(labels), BATCH)
    ]
    return LogisticRegression(C=10, max_iter=1000).fit(tf.concat(parts, 0).numpy(), labels)


def make(model_path: Path, data_path: Path) -> None:
    """Trains the probe, and writes the model and the data."""
    made, tokenizer = encoder(), Tokenizer()
    (texts, labels), (others, topics) = split(TRAINING, TEST, SEED)
    save(model_path, made, trained_probe(made, tokenizer.tokens(texts), labels))
    np.savez(data_path, **tokenizer.tokens(others), topics=topics)


if __name__ == "__main__":
    run(Path(__file__), make, ROOT / "models" / "minilm", ROOT / "data" / "minilm.npz")
