"""Unsafe models are refused before anything of them runs, and loaded when the user says so."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.errors import InputError
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.unsafe_keras import unsafe_keras_config
from amp_tuner.worker.protocol import ModelSource
from tests.runtime.loader_models import Example, run_frozen

Examples = dict[str, Example]
ALLOW = "; set allow_unsafe: true if you trust the model"


def refusal(path: Path | str, *, allow_unsafe: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        load_model(ModelSource(str(path), allow_unsafe=allow_unsafe))
    return str(caught.value)


def write_pb(path: Path, build: Callable[[], Any]) -> Path:
    with tf.Graph().as_default() as graph:
        build()
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def save(folder: Path, serve: Callable[..., Any]) -> Path:
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([2], tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def test_a_pb_that_calls_python_is_refused(tmp_path: Path) -> None:
    def build() -> None:
        tf.compat.v1.py_func(lambda: np.float32(1), [], tf.float32, name="sly")

    path = write_pb(tmp_path / "model.pb", build)
    assert f"node 'sly' (PyFunc) calls Python, which is refused in a model{ALLOW}" in refusal(path)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: tf.io.read_file("/etc/hostname", name="peek"), "node 'peek' (ReadFile)"),
        (lambda: tf.io.write_file("/tmp/x", "x", name="poke"), "node 'poke' (WriteFile)"),
        (
            lambda: tf.raw_ops.SaveV2(
                prefix="/tmp/x",
                tensor_names=["x"],
                shape_and_slices=[""],
                tensors=[tf.constant(1.0)],
                name="leak",
            ),
            "node 'leak' (SaveV2)",
        ),
        (
            lambda: tf.print("x", output_stream="file:///tmp/x", name="log"),
            "node 'log' (PrintV2)",
        ),
    ],
)
def test_a_pb_that_touches_files_is_refused(
    build: Callable[[], Any], text: str, tmp_path: Path
) -> None:
    def with_output() -> None:
        with tf.control_dependencies([build()]):
            tf.constant(1.0)
        x = tf.compat.v1.placeholder(tf.float32, [2], name="x")
        with tf.control_dependencies([op for op in x.graph.get_operations() if op != x.op]):
            tf.identity(x, name="y")

    path = write_pb(tmp_path / "model.pb", with_output)
    found = refusal(path)
    assert f"{text} reads or writes files or opens connections" in found


def test_a_file_op_inside_a_function_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", lambda x: {"y": x, "text": tf.io.read_file("/etc/hostname")})
    assert "(ReadFile) reads or writes files" in refusal(folder)


def test_a_file_op_is_refused_in_a_function_that_the_signature_does_not_call(
    tmp_path: Path,
) -> None:
    module = tf.Module()
    spec = [tf.TensorSpec([2], tf.float32, name="x")]
    module.serve = tf.function(lambda x: {"y": x}, input_signature=spec)
    module.other = tf.function(
        lambda x: {"y": x, "text": tf.io.read_file("/etc/hostname")}, input_signature=spec
    )
    signatures = {"serving_default": module.serve, "other": module.other}
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=signatures)
    assert "(ReadFile)" in refusal(tmp_path / "m")


def test_a_signature_that_saves_a_checkpoint_is_refused(tmp_path: Path) -> None:
    def leak(x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.raw_ops.SaveV2(prefix="/tmp/x", tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        return {"y": x}

    assert "(SaveV2) reads or writes files" in refusal(save(tmp_path / "m", leak))


@pytest.mark.parametrize("name", ["saved_model", "tf1"])
def test_the_checkpoint_ops_that_every_saved_model_carries_are_fine(
    name: str, examples: Examples
) -> None:
    source = examples[name].source
    text = (Path(source.path) / "saved_model.pb").read_bytes()
    assert b"SaveV2" in text
    assert b"RestoreV2" in text
    load_model(source)


def test_a_restore_that_also_saves_is_refused(tmp_path: Path) -> None:
    folder = str(tmp_path / "m")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [2], name="x")
        weights = v1.get_variable("weights", [2])
        y = tf.add(x, weights, name="y")
        saver = v1.train.Saver()
        leak = tf.raw_ops.SaveV2(
            prefix="/tmp/x", tensor_names=["w"], shape_and_slices=[""], tensors=[weights]
        )
        session.graph.get_operation_by_name("save/restore_all")._add_control_input(leak)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder = v1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, saver=saver
        )
        builder.save()
    assert "node 'SaveV2' (SaveV2) reads or writes files" in refusal(folder)


def test_an_unsafe_model_loads_when_it_is_allowed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text("hello")
    folder = save(tmp_path / "m", lambda x: {"y": x, "text": tf.io.read_file(str(note))})
    model = load_model(ModelSource(str(folder), allow_unsafe=True))
    assert run_frozen(model, {"x": [1.0, 2.0]})["text"] == b"hello"


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_layer_is_refused_unless_allowed(suffix: str, tmp_path: Path) -> None:
    keras = tf.keras
    layers = [keras.layers.Lambda(lambda x: x * 2, name="twice", output_shape=(4,))]
    path = tmp_path / f"model.{suffix}"
    keras.Sequential([keras.layers.InputLayer((4,), name="x"), *layers]).save(path)
    text = "layer 'twice' (Lambda) runs Python code that the file carries, which is refused"
    assert text + ALLOW in refusal(path)
    model = load_model(ModelSource(str(path), allow_unsafe=True))
    (doubled,) = run_frozen(model, {"x": np.ones((1, 4), np.float32)}).values()
    assert doubled.tolist() == [[2, 2, 2, 2]]


def test_a_keras_2_lambda_inside_an_inner_model_is_refused(tmp_path: Path) -> None:
    inner = {"class_name": "Lambda", "config": {"name": "sly", "function": ["code", None, None]}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [inner]}}
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
    assert "layer 'sly' (Lambda) runs Python code" in refusal(path)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"module": "os", "class_name": "function", "config": "system"},
            "names the function 'os.system'",
        ),
        (
            {"module": "builtins", "class_name": "function", "config": "exec"},
            "names the function 'builtins.exec'",
        ),
        (
            {"module": "keras.utils", "class_name": "function", "config": "get_file"},
            "names the function 'keras.utils.get_file'",
        ),
        (
            {"module": "my.layers", "class_name": "Thing", "config": {"name": "a"}},
            "layer 'a' imports 'my.layers.Thing'",
        ),
        (
            {"class_name": "StringLookup", "config": {"name": "a", "vocabulary": "/etc/passwd"}},
            "layer 'a' reads its vocabulary from the file '/etc/passwd'",
        ),
        (
            {"class_name": "TFSMLayer", "config": {"name": "a", "filepath": "/x"}},
            "layer 'a' (TFSMLayer) loads another model",
        ),
        (
            {"class_name": "Thing", "registered_name": "any>Lambda", "config": {"name": "a"}},
            "layer 'a' (Lambda) runs Python code",
        ),
        (
            {"module": "keras.utils", "class_name": "get_file", "config": {"name": "a"}},
            "layer 'a' has the class_name 'get_file', which is no class",
        ),
        (
            {"class_name": "TFOpLambda", "config": {"name": "a", "function": "io.read_file"}},
            "layer 'a' (TFOpLambda) calls what may be no mathematics of TensorFlow",
        ),
        (
            {"class_name": "ClassMethod", "config": {"name": "a", "cls_ref": "saved_model"}},
            "layer 'a' (ClassMethod) calls what may be no mathematics of TensorFlow",
        ),
    ],
)
def test_a_keras_configuration_that_reaches_out_is_refused(config: Any, text: str) -> None:
    found = unsafe_keras_config({"class_name": "Functional", "config": {"layers": [config]}})
    assert any(text in problem for problem in found)


@pytest.mark.parametrize("function", ["math.add", "nn.relu", "concat", "__operators__.getitem"])
def test_keras_2_layers_may_call_mathematics(function: str) -> None:
    layer = {"class_name": "TFOpLambda", "config": {"name": "a", "function": function}}
    assert unsafe_keras_config({"class_name": "Functional", "config": {"layers": [layer]}}) == []


def reach_out(file: h5py.File, elsewhere: Path) -> None:
    """A link to another file, a dataset in a raw file, and a dataset made of others."""
    elsewhere.write_bytes(bytes(32))
    file["inner/link"] = h5py.ExternalLink(str(elsewhere), "/secret")
    file.create_dataset("raw", (8,), "f4", external=[(str(elsewhere), 0, 32)])
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource(str(elsewhere), "secret", (8,))
    file.create_virtual_dataset("virtual", layout)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_weights_that_lie_in_other_files_are_refused(
    suffix: str, examples: Examples, tmp_path: Path
) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(Path(examples[suffix].source.path).read_bytes())
    weights = tmp_path / "more.weights.h5" if suffix == "keras" else path
    with h5py.File(weights, "a") as file:
        reach_out(file, tmp_path / "elsewhere")
    if suffix == "keras":
        with zipfile.ZipFile(path, "a") as archive:
            archive.write(weights, weights.name)
    said = refusal(path)
    assert "'/inner/link' is a link to the file" in said
    assert "'/raw' takes its data from another file" in said
    assert "'/virtual' takes its data from another file" in said


@pytest.mark.parametrize("name", ["../../evil.txt", "/evil.txt", "a/../../evil", "C:\\evil"])
def test_a_keras_archive_that_leads_out_of_its_folder_is_always_refused(
    name: str, examples: Examples, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(Path(examples["keras"].source.path).read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    for allow_unsafe in (False, True):
        assert "leads out of its folder, which is never allowed" in refusal(
            path, allow_unsafe=allow_unsafe
        )
