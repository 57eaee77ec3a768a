"""The scripts that make trained models: the weights are where they belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.configs.ready import ROOT, made
from tests.packaged import script

pytestmark = pytest.mark.all_only


def served(name: str) -> tuple[Any, Path]:
    """What serves a model that its script makes, and the path of its data."""
    loaded = tf.saved_model.load(str(made(name)))
    return loaded.signatures["serving_default"], ROOT / "data" / f"{name}.npz"


def test_efficientnet_lite0_knows_the_photos() -> None:
    efficientnet = script("efficientnet_lite0")
    serve, path = served("efficientnet_lite0")
    with np.load(path) as data:
        images, labels = (data[name][:: efficientnet.VIEWS] for name in ("images", "labels"))
    assert images.shape == (20, 224, 224, 3)
    chances = serve(images=tf.constant(images))["classes"].numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    assert int((chances.argmax(axis=1) == labels).sum()) >= 17


def test_minilm_finds_like_sentences_alike_and_their_topics() -> None:
    minilm = script("minilm")
    serve, path = served("minilm")
    tokens = minilm.Tokenizer().tokens(
        ["A man is eating food.", "A man is eating a piece of bread.", "A woman plays violin."]
    )
    vectors = serve(**{name: tf.constant(value) for name, value in tokens.items()})["vectors"]
    likeness = (vectors @ tf.transpose(vectors)).numpy()
    np.testing.assert_allclose(likeness.diagonal(), 1, rtol=1e-5)
    assert likeness[0, 1] > 0.7
    assert abs(likeness[:2, 2]).max() < 0.2
    with np.load(path) as data:
        known = {name: data[name][:256] for name in ("ids", "mask", "topics")}
    topics = known.pop("topics")
    chances = serve(**{name: tf.constant(value) for name, value in known.items()})["topics"]
    # Each of the eight is as frequent as any other.
    assert (chances.numpy().argmax(axis=1) == topics).mean() > 0.75


@pytest.mark.parametrize(
    ("name", "output", "label", "least"),
    [("topics", "topics", "topics", 0.85), ("flight_nfm", "late", "late", 0.7)],
)
def test_tables_have_learnt(name: str, output: str, label: str, least: float) -> None:
    serve, path = served(name)
    with np.load(path) as data:
        known = {name: data[name][:8192] for name in data}
    truth = known.pop(label)
    scores = serve(**{name: tf.constant(value) for name, value in known.items()})[output].numpy()
    found = scores.argmax(axis=1) if scores.ndim == 2 else scores > 0.5
    assert (found == truth).mean() > least


def test_words_are_cut_into_the_longest_known_pieces() -> None:
    tokenizer = script("minilm").Tokenizer()
    together, unknown = tokenizer.tokens(["Unaffable!", "\N{SNOWMAN}"])["ids"]
    assert together[:6].tolist() == [101, 14477, 20961, 3468, 999, 102]
    assert unknown[:3].tolist() == [101, 100, 102]
    assert not together[6:].any()
