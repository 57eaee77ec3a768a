"""Bad models: each is one InputError that names what was found and what is allowed."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader import load_model
from amp_tuner.worker.protocol import ModelSource
from tests.runtime.loader_models import Example

Examples = dict[str, Example]


def problems(path: Path | str, **options: object) -> list[str]:
    """The messages of the error that loading gives; each problem names the model's place."""
    with pytest.raises(InputError) as caught:
        load_model(replace(ModelSource(str(path)), **options))
    assert all(str(path) in problem.where for problem in caught.value.problems)
    return [problem.message for problem in caught.value.problems]


def problem(path: Path | str, **options: object) -> str:
    """The message of an error with a single problem."""
    (message,) = problems(path, **options)
    return message


def test_a_missing_path(tmp_path: Path) -> None:
    assert problem(tmp_path / "absent") == (
        "no such file or folder; allowed are a SavedModel's folder, a .keras, .h5 or .hdf5 file, "
        "a frozen .pb"
    )


def test_an_unknown_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    assert problem(path).startswith("has the suffix '.onnx'; allowed are a SavedModel's folder")


def test_a_text_file_called_pb(tmp_path: Path) -> None:
    path = tmp_path / "model.pb"
    path.write_text("node { name: 'x' op: 'Placeholder' }\n")
    assert problem(path) == "holds text; allowed is a frozen GraphDef as binary protobuf"


def test_an_empty_pb(tmp_path: Path) -> None:
    path = tmp_path / "model.pb"
    path.touch()
    assert problem(path) == "holds no nodes; allowed is a frozen GraphDef as binary protobuf"


def test_a_pb_truncated_anywhere_loads_or_is_a_clear_error(
    examples: Examples, tmp_path: Path
) -> None:
    data = Path(examples["pb"].source.path).read_bytes()
    path = tmp_path / "model.pb"
    refused = 0
    for size in range(len(data)):
        path.write_bytes(data[:size])
        try:
            load_model(ModelSource(str(path), fetches=("relu", "total")))
        except InputError:
            refused += 1
    # A GraphDef's tail, its library and versions, is no part of the model's work.
    assert refused > 0.9 * len(data)


def test_a_pb_that_lost_a_node_names_it(tmp_path: Path) -> None:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="y", op="Relu", input=["x"])
    path = tmp_path / "model.pb"
    path.write_bytes(graph_def.SerializeToString())
    assert problem(path) == "node 'y' reads 'x', which is not in the graph"


def test_a_saved_models_pb_is_no_frozen_graph(examples: Examples) -> None:
    folder = examples["saved_model"].source.path
    message = problem(Path(folder) / "saved_model.pb")
    assert message == f"is part of a SavedModel; give its folder instead: {folder}"


def test_an_empty_folder(tmp_path: Path) -> None:
    assert problem(tmp_path).startswith("is a folder without a file saved_model.pb; allowed are")


def test_a_folder_above_a_saved_model_names_the_saved_model(tmp_path: Path) -> None:
    inner = tmp_path / "0001"
    inner.mkdir()
    (inner / "saved_model.pb").touch()
    assert f"(did you mean {inner}?)" in problem(tmp_path)


def test_a_truncated_saved_model(examples: Examples, tmp_path: Path) -> None:
    data = (Path(examples["saved_model"].source.path) / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(data[: len(data) // 2])
    assert problem(tmp_path).startswith("cannot be read as a SavedModel, is broken or truncated")


def test_a_saved_model_without_its_variables(examples: Examples, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(examples["saved_model"].source.path, folder)
    shutil.rmtree(folder / "variables")
    assert problem(folder).startswith("the SavedModel cannot be loaded: ")


def test_an_unknown_signature_lists_those_there_are(examples: Examples) -> None:
    assert problem(examples["saved_model"].source.path, signature="serving_defualt") == (
        "has no signature 'serving_defualt' (did you mean serving_default?); "
        "it has count, look_up, repeat, serving_default"
    )


def test_a_signature_that_writes_variables(examples: Examples) -> None:
    message = problem(examples["saved_model"].source.path, signature="count")
    assert "(AssignAddVariableOp) holds or changes state" in message
    assert message.endswith("allowed are variables that are only read, and lookup tables")


def test_several_problems_are_told_at_once(examples: Examples) -> None:
    path = examples["pb"].source.path
    found = problems(path, signature="predict", fetches=("rellu", "total", "nothing"))
    assert [message.split(";")[0] for message in found] == [
        "has no node 'rellu' (did you mean relu?) to fetch",
        "has no node 'nothing' to fetch",
        "a .pb has no signature 'predict'",
    ]


def test_a_fetch_beyond_a_nodes_outputs(examples: Examples) -> None:
    message = problem(examples["pb"].source.path, fetches=("relu:1",))
    assert message == "has no tensor 'relu:1' to fetch: node 'relu' has 1 output(s)"


@pytest.mark.parametrize("name", ["saved_model", "keras", "h5"])
def test_fetches_are_only_for_pb(name: str, examples: Examples) -> None:
    assert "fetches are for frozen .pb files" in problem(examples[name].source.path, fetches=("x",))


@pytest.mark.parametrize("name", ["keras", "h5"])
def test_a_keras_file_has_one_signature(name: str, examples: Examples) -> None:
    assert problem(examples[name].source.path, signature="predict") == (
        "a Keras file has no signature 'predict'; allowed is 'serving_default'"
    )


def test_an_h5_that_holds_weights_only(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("dense/kernel", data=np.zeros((2, 2)))
    assert problem(path).startswith("holds weights only, no model; allowed is a whole model")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_truncated_keras_file(suffix: str, examples: Examples, tmp_path: Path) -> None:
    data = Path(examples[suffix].source.path).read_bytes()
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(data[: len(data) // 2])
    assert "or a broken one" in problem(path)


def test_a_keras_model_with_a_class_that_keras_lacks(examples: Examples, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(examples["keras"].source.path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"BatchNormalization"', b'"BatchMagic"'))
    message = problem(path)
    assert message.startswith("cannot be loaded; Keras 3")
    assert "export the model as a SavedModel" in message


def test_a_keras_model_whose_input_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    tf.keras.Sequential([tf.keras.layers.Dense(2)]).save(path)
    assert problem(path).startswith("the model's inputs are not known; allowed are functional")


def test_an_op_that_tensorflow_does_not_know(tmp_path: Path) -> None:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="detections", op="TPUMagic")
    path = tmp_path / "model.pb"
    path.write_bytes(graph_def.SerializeToString())
    assert problem(path).startswith(
        f"op type 'TPUMagic' (node 'detections') is not known to TensorFlow {tf.__version__}"
    )


def test_a_pb_with_variables_is_not_frozen(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        variable = tf.compat.v1.get_variable("weights", [2])
        tf.identity(variable, name="y")
    path = tmp_path / "model.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    found = problems(path, fetches=("y",))
    assert any("node 'weights' (VarHandleOp) holds or changes state" in text for text in found)


def test_a_pb_with_a_table_that_nothing_fills(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        words = tf.compat.v1.placeholder(tf.string, [None], name="words")
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, name="table")
        tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=words, default_value=tf.constant(-1, tf.int64), name="found"
        )
    path = tmp_path / "model.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    assert problem(path) == "lookup table 'table' is filled by no node; allowed are filled tables"


def test_a_pb_without_outputs(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, [2], name="x")
    path = tmp_path / "model.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    assert problem(path).startswith("has no output: every node is consumed")


def test_a_sparse_argument_is_not_taken(tmp_path: Path) -> None:
    folder = str(tmp_path / "sparse")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.sparse_placeholder(tf.float32, [2, 2])
        inputs = {"x": v1.saved_model.build_tensor_info(x)}
        outputs = {"y": v1.saved_model.build_tensor_info(tf.sparse.to_dense(x))}
        signature = v1.saved_model.build_signature_def(inputs, outputs)
        builder = v1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    assert problem(folder) == (
        "argument 'x' is sparse, ragged or composite; allowed are plain tensors"
    )
