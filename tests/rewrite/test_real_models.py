"""The engine against TensorFlow's real passes on whole models."""

from __future__ import annotations

import random

import pytest
import tensorflow as tf

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import paint
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.oracle import differences
from tests.rewrite.painted import prepared_graph

pytestmark = pytest.mark.all_only


def _encoder():
    """A Transformer encoder of two layers over token numbers."""
    layers = tf.keras.layers
    tokens = layers.Input([16], dtype="int32")
    y = layers.Embedding(100, 32)(tokens)
    for _ in range(2):
        y = layers.LayerNormalization()(y + layers.MultiHeadAttention(4, 8)(y, y))
        y = layers.LayerNormalization()(y + layers.Dense(32)(layers.Dense(64, "gelu")(y)))
    return tf.keras.Model(tokens, layers.Dense(5, "softmax")(layers.GlobalMaxPool1D()(y)))


MODELS = {
    "MobileNet": (
        lambda: tf.keras.applications.MobileNet(weights=None),
        tf.TensorSpec([1, 224, 224, 3]),
    ),
    "ResNet50": (
        lambda: tf.keras.applications.ResNet50(weights=None),
        tf.TensorSpec([1, 224, 224, 3]),
    ),
    "Transformer": (_encoder, tf.TensorSpec([2, 16], tf.int32)),
}


@pytest.fixture(scope="module", params=MODELS)
def graph_def(request):
    make, spec = MODELS[request.param]
    model = make()
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    return traced.graph.as_graph_def()


@pytest.mark.parametrize("name", ["tf-cpu-bfloat16", "tf-cpu-float16"])
def test_whole_models_node_for_node(cpu_oracle, graph_def, name):
    rules = rule_set(name)
    chance = random.Random(name)
    op_types = sorted({node.op for node in graph_def.node} - {"Const", "Placeholder"})
    settings = [{}] + [
        {
            op_type: chance.choice(DESTINATIONS)
            for op_type in chance.sample(op_types, min(len(op_types), count))
        }
        for count in (1, 2, 4, 8, 16)
    ]
    kept = ["Identity", *(node.name for node in graph_def.node if node.op == "Placeholder")]
    for moves in settings:
        lists = rules.lists.moved(moves)
        ours = rewrite_graph(graph_def, rules, lists, preserved=kept)
        theirs = cpu_oracle.real_pass(graph_def, rules, lists, "default", ["Identity"])
        assert differences(ours, theirs) == [], moves
        prepared = prepared_graph(graph_def, rules, tuple(kept))
        casts = effective_graph(prepared, paint(prepared, lists)).casts
        assert casts == len(theirs.node) - len(graph_def.node)
    assert len(ours.node) != len(graph_def.node)
