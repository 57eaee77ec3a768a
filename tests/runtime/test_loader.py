"""Loading: every form gives one frozen graph that computes what the model computed."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from amp_tuner.runtime.loader import FrozenModel, load_model, open_served, served_model
from amp_tuner.worker.protocol import ModelSource, TensorInfo
from tests.runtime.loader_models import NAMES, Example, assert_outputs, run_frozen

Examples = dict[str, Example]


@pytest.fixture(scope="module")
def frozen(examples: Examples) -> dict[str, FrozenModel]:
    return {name: load_model(example.source) for name, example in examples.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_model_computes_what_the_model_computed(
    name: str, examples: Examples, frozen: dict[str, FrozenModel]
) -> None:
    assert_outputs(run_frozen(frozen[name], examples[name].feeds), examples[name].expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_model_has_no_variables_no_functions_and_no_places(
    name: str, frozen: dict[str, FrozenModel]
) -> None:
    graph_def = frozen[name].graph_def
    ops = {node.op for node in graph_def.node}
    assert not ops & {"VarHandleOp", "VariableV2", "ReadVariableOp", "StatefulPartitionedCall"}
    assert not graph_def.library.function
    assert {node.device for node in graph_def.node} == {""}


@pytest.mark.parametrize("name", NAMES)
def test_feeds_fetches_and_initializers_are_in_the_graph(
    name: str, frozen: dict[str, FrozenModel]
) -> None:
    model = frozen[name]
    assert {item.name for item in model.inputs} == model.feeds.keys()
    assert {item.name for item in model.outputs} == model.fetches.keys()
    assert model.preserved() <= {node.name for node in model.graph_def.node}


@pytest.mark.parametrize("name", NAMES)
def test_the_served_model_computes_what_the_model_computed(
    name: str, examples: Examples, frozen: dict[str, FrozenModel], tmp_path: Path
) -> None:
    example = examples[name]
    served = served_model(example.source, str(tmp_path))
    assert (served.inputs, served.outputs) == (frozen[name].inputs, frozen[name].outputs)
    feeds = {served.feeds[key]: array for key, array in example.feeds.items()}
    with open_served(served, tf.compat.v1.ConfigProto()) as session:
        assert_outputs(session.run(dict(served.fetches), feeds), example.expected)


def test_a_served_saved_model_keeps_its_variables(examples: Examples, tmp_path: Path) -> None:
    served = served_model(examples["saved_model"].source, str(tmp_path))
    with open_served(served, tf.compat.v1.ConfigProto()) as session:
        assert "VarHandleOp" in {op.type for op in session.graph.get_operations()}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        (
            "saved_model",
            [TensorInfo("features", "float32", (-1, 4))],
            [TensorInfo("best", "int64", (-1,)), TensorInfo("scores", "float32", (-1, 2))],
        ),
        (
            "tf1",
            [TensorInfo("text", "string", (-1,))],
            [TensorInfo("vector", "float32", (-1, 2))],
        ),
        (
            "keras",
            [TensorInfo("flags", "float32", (-1, 3)), TensorInfo("image", "float32", (-1, 4))],
            [TensorInfo("chance", "float32", (-1, 1)), TensorInfo("score", "float32", (-1, 2))],
        ),
        (
            "pb",
            [TensorInfo("x", "float32", (3, 4))],
            [TensorInfo("relu", "float32", (3, 4)), TensorInfo("total", "float32", (3,))],
        ),
    ],
)
def test_a_signature_has_the_models_own_names_types_and_shapes(
    name: str,
    inputs: list[TensorInfo],
    outputs: list[TensorInfo],
    frozen: dict[str, FrozenModel],
) -> None:
    assert list(frozen[name].inputs) == inputs
    assert list(frozen[name].outputs) == outputs


def test_a_batch_that_the_model_fixes_is_visible(frozen: dict[str, FrozenModel]) -> None:
    (argument,) = frozen["saved_model_loop"].inputs
    assert argument.shape == (3, 4)


def test_a_tables_content_no_longer_needs_the_models_files(
    examples: Examples, tmp_path: Path
) -> None:
    example = examples["saved_model_table"]
    copy = tmp_path / "copy"
    shutil.copytree(example.source.path, copy)
    model = load_model(replace(example.source, path=str(copy)))
    shutil.rmtree(copy)
    assert len(model.initializers) == 1
    assert_outputs(run_frozen(model, example.feeds), example.expected)


def test_a_loop_is_lowered_as_tensorflows_freezer_lowers_it(
    examples: Examples, frozen: dict[str, FrozenModel]
) -> None:
    loaded = tf.saved_model.load(examples["saved_model_loop"].source.path)
    theirs = convert_variables_to_constants_v2(loaded.signatures["repeat"]).graph.as_graph_def()
    plumbing = {"Const", "Identity", "NoOp", "Placeholder"}

    def work(graph_def: tf.compat.v1.GraphDef) -> Counter[str]:
        return Counter(node.op for node in graph_def.node if node.op not in plumbing)

    assert work(frozen["saved_model_loop"].graph_def) == work(theirs)


def test_an_argument_that_no_output_needs_stays_an_argument(tmp_path: Path) -> None:
    module = tf.Module()
    module.serve = tf.function(
        lambda used, unused: {"y": used + 1.0},
        input_signature=[tf.TensorSpec([2], tf.float32, name=name) for name in ("used", "unused")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    model = load_model(ModelSource(str(tmp_path)))
    outputs = run_frozen(model, {"used": [1.0, 2.0], "unused": [0.0, 0.0]})
    assert_outputs(outputs, {"y": [2.0, 3.0]})
