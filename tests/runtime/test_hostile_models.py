"""Models of attackers: each is refused by default, with a message, before anything of it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.client import pywrap_tf_session

from amp_tuner.amp.lists import is_op_type
from amp_tuner.errors import InputError
from amp_tuner.runtime import unsafe
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.pass_dumps import describe_dump
from amp_tuner.runtime.unsafe import unsafe_nodes
from amp_tuner.worker.protocol import ModelSource
from tests.hostile_models import (
    UNSAFE_OPS,
    WORDS,
    edited_saved_model,
    function_with,
    graph_with,
    text_constant,
    write_pb,
)
from tests.runtime.loader_models import Example

Examples = dict[str, Example]
MetaGraph = meta_graph_pb2.MetaGraphDef


def refusal(path: Path, signature: str = "serving_default") -> str:
    """What a model is refused with: printable, and of a length that can be read."""
    with pytest.raises(InputError) as caught:
        load_model(ModelSource(str(path), signature))
    for problem in caught.value.problems:
        assert problem.message.isprintable()
        assert len(problem.message) < 600
    return str(caught.value)


def all_ops() -> list[op_def_pb2.OpDef]:
    """Every op type that this TensorFlow has."""
    found = op_def_pb2.OpList()
    found.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return list(found.op)


@pytest.mark.parametrize("inside", ["", "called", "uncalled"])
@pytest.mark.parametrize("op", UNSAFE_OPS)
def test_an_unsafe_op_is_found_wherever_it_is(op: str, inside: str) -> None:
    found = unsafe_nodes(graph_with(op, inside=inside), ["y"])
    if inside == "uncalled" and op in unsafe._SAVE_OPS | unsafe._RESTORE_OPS:
        # As every SavedModel has them: its own, which nothing asks for.
        assert found == []
    else:
        assert len(found) == 1
        assert "sly" in found[0]
        assert f"({op})" in found[0]
        assert "which is refused in a model; set allow_unsafe: true" in found[0]


@pytest.mark.parametrize("inside", ["", "called", "uncalled"])
@pytest.mark.parametrize("op", ["PyFunc", "ReadFile", "DatasetFromGraph"])
def test_a_pb_with_an_unsafe_op_is_refused(op: str, inside: str, tmp_path: Path) -> None:
    assert f"({op})" in refusal(write_pb(tmp_path, graph_with(op, inside=inside)))


def test_no_op_type_of_tensorflow_that_names_a_file_was_forgotten() -> None:
    known = (
        unsafe._FILE_OPS
        | unsafe._RESTORE_OPS
        | unsafe._SAVE_OPS
        | unsafe._ASSET_OPS
        | unsafe._PROTO_OPS
        | unsafe._HIDING_OPS
        | unsafe.PYTHON_OPS
    )
    # No file, though it sounds so: a counter's name, and names of files that nobody opens.
    fine = {"ExperimentalSetStatsAggregatorDataset", "SetStatsAggregatorDataset"}
    fine |= {"ShardedFilename", "ShardedFilespec", "AssetPath"}
    parts = "file|filename|filenames|path|dir|directory|prefix|url|address|region|logdir|vocab"
    word = re.compile(rf"(^|_)({parts}|graph_def)(_|$|s$)")
    naming = {
        op.name
        for op in all_ops()
        if any(word.search(port.name) and port.type == 7 for port in op.input_arg)
        or any(word.search(attr.name) and "string" in attr.type for attr in op.attr)
    }
    assert len(naming) > 50
    assert naming - known - fine == set()


def test_every_op_type_of_tensorflow_has_an_allowed_name() -> None:
    assert [op.name for op in all_ops() if not is_op_type(op.name)] == []


def in_init(meta_graph: MetaGraph, op: str) -> None:
    sly = meta_graph.graph_def.node.add(name="sly", op=op)
    (init,) = meta_graph.signature_def["__saved_model_init_op"].outputs.values()
    named = {node.name: node for node in meta_graph.graph_def.node}
    named[init.name.split(":")[0]].input.append(f"^{sly.name}")


def in_uncalled_function(meta_graph: MetaGraph, op: str) -> None:
    function = meta_graph.graph_def.library.function.add()
    function.signature.name = "nobody_calls"
    function.node_def.add(name="sly", op=op)


def in_main_graph(meta_graph: MetaGraph, op: str) -> None:
    meta_graph.graph_def.node.add(name="sly", op=op)


@pytest.mark.parametrize("place", [in_init, in_uncalled_function, in_main_graph])
@pytest.mark.parametrize("op", ["EagerPyFunc", "WriteFile", "TFRecordDatasetV2"])
def test_a_saved_model_with_an_unsafe_op_anywhere_is_refused(
    place: Callable[[MetaGraph, str], None], op: str, examples: Examples, tmp_path: Path
) -> None:
    original = Path(examples["saved_model"].source.path)
    path = edited_saved_model(original, tmp_path, lambda graph: place(graph, op))
    assert f"({op})" in refusal(path)


def test_an_init_op_that_saves_a_checkpoint_is_refused(examples: Examples, tmp_path: Path) -> None:
    original = Path(examples["saved_model"].source.path)
    path = edited_saved_model(original, tmp_path, lambda graph: in_init(graph, "SaveV2"))
    assert "node 'sly' (SaveV2) reads or writes files" in refusal(path)


@pytest.mark.parametrize(
    "name", ["../../secret", "/etc/passwd", "a/../../b", "C:\\x", "gs://bucket/x", "file:///x"]
)
def test_an_asset_that_leads_out_of_the_model_is_refused(
    name: str, examples: Examples, tmp_path: Path
) -> None:
    def edit(meta_graph: MetaGraph) -> None:
        meta_graph.asset_file_def[0].filename = name

    path = edited_saved_model(Path(examples["saved_model"].source.path), tmp_path, edit)
    assert "leads out of the model's folder, which is never allowed" in refusal(path)


def named_by_the_graph(meta_graph: MetaGraph) -> None:
    """The function that fills a table does so from a file of its own choice."""
    function, node = function_with(meta_graph, "InitializeTableFromTextFileV2")
    text_constant(function.node_def, "secret", "/etc/passwd")
    node.input[1] = "secret:output:0"


def passed_by_a_call(meta_graph: MetaGraph) -> None:
    """The graph passes that function another name than the loader's."""
    function, _ = function_with(meta_graph, "InitializeTableFromTextFileV2")
    text_constant(meta_graph.graph_def.node, "secret", "/etc/passwd")
    for node in meta_graph.graph_def.node:
        if node.attr["f"].func.name == function.signature.name:
            node.input[0] = "secret"


def through_an_alias(meta_graph: MetaGraph) -> None:
    """A second handle of the variable that holds the name writes another one into it."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    read = next(node for node in nodes.values() if node.op == "ReadVariableOp")
    handle = nodes[read.input[0]]
    alias = meta_graph.graph_def.node.add()
    alias.CopyFrom(handle)
    alias.name = "alias"
    text_constant(meta_graph.graph_def.node, "secret", "/etc/passwd")
    meta_graph.graph_def.node.add(
        name="sly", op="AssignVariableOp", input=["alias", "secret"]
    ).attr["dtype"].type = 7


def with_no_assets(meta_graph: MetaGraph) -> None:
    """The loader feeds nothing, so that the name in the graph stands."""
    del meta_graph.asset_file_def[:]


@pytest.mark.parametrize(
    "edit", [named_by_the_graph, passed_by_a_call, through_an_alias, with_no_assets]
)
def test_a_table_filled_from_a_file_that_the_loader_did_not_name_is_refused(
    edit: Callable[[MetaGraph], None], examples: Examples, tmp_path: Path
) -> None:
    path = edited_saved_model(Path(examples["saved_model"].source.path), tmp_path, edit)
    assert "(InitializeTableFromTextFileV2) reads or writes files" in refusal(path)


def test_a_signature_that_fills_a_table_from_a_file_is_refused(
    examples: Examples, tmp_path: Path
) -> None:
    """Only when it initialises a model does the loader feed the names of assets."""

    def edit(meta_graph: MetaGraph) -> None:
        named = {node.name: node for node in meta_graph.graph_def.node}
        (init,) = meta_graph.signature_def["__saved_model_init_op"].outputs.values()
        output = next(iter(meta_graph.signature_def["serving_default"].outputs.values()))
        named[output.name.split(":")[0]].input.append(f"^{init.name.split(':')[0]}")

    path = edited_saved_model(Path(examples["saved_model"].source.path), tmp_path, edit)
    assert "(InitializeTableFromTextFileV2) reads or writes files" in refusal(path)


def test_variables_restored_from_another_checkpoint_are_refused(
    examples: Examples, tmp_path: Path
) -> None:
    def edit(meta_graph: MetaGraph) -> None:
        function, node = function_with(meta_graph, "RestoreV2")
        text_constant(function.node_def, "secret", "/home/user/model/variables")
        node.input[0] = "secret:output:0"

    path = edited_saved_model(Path(examples["saved_model"].source.path), tmp_path, edit)
    assert "(RestoreV2) reads or writes files" in refusal(path)


@pytest.mark.parametrize("name", ["saved_model", "saved_model_table", "tf1", "keras_table"])
def test_models_that_only_use_their_own_files_load(name: str, examples: Examples) -> None:
    assert load_model(examples[name].source).outputs


@pytest.mark.parametrize("word", WORDS)
def test_names_that_could_do_harm_are_refused_in_a_pb(word: str, tmp_path: Path) -> None:
    graph_def = graph_with(word)
    assert "is no op type; allowed are" in refusal(write_pb(tmp_path, graph_def))
    graph_def = graph_with("NoOp")
    graph_def.node[1].name = word
    assert "has no name of a node; allowed are" in refusal(write_pb(tmp_path, graph_def))


@pytest.mark.parametrize("word", WORDS)
def test_names_that_could_do_harm_are_refused_in_a_saved_model(
    word: str, examples: Examples, tmp_path: Path
) -> None:
    def edit(meta_graph: MetaGraph) -> None:
        meta_graph.graph_def.library.function[0].node_def[0].name = word
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = f" {word}"

    path = edited_saved_model(Path(examples["saved_model"].source.path), tmp_path, edit)
    said = refusal(path)
    assert "has no name of a function" in said
    assert "has no name of a node" in said


@pytest.mark.parametrize("part", ["signature", "argument", "output"])
def test_what_cannot_be_printed_is_refused_in_a_signature(
    part: str, examples: Examples, tmp_path: Path
) -> None:
    def edit(meta_graph: MetaGraph) -> None:
        serving = meta_graph.signature_def["serving_default"]
        parts: dict[str, Any] = {
            "signature": meta_graph.signature_def,
            "argument": serving.inputs,
            "output": serving.outputs,
        }
        parts[part]["a\x1b[2Jb"].SetInParent()

    path = edited_saved_model(Path(examples["saved_model"].source.path), tmp_path, edit)
    assert f"{part} 'a\\x1b[2Jb' holds what cannot be printed" in refusal(path)


def logged(folder: Path, graph_def: Any) -> Path:
    (folder / "graphdef_preop_tf_graph_17.pb").write_bytes(graph_def.SerializeToString())
    return folder


def test_a_logged_graph_that_reads_a_file_has_no_shapes(tmp_path: Path) -> None:
    """TensorFlow reads the file where it must know a shape, though nobody runs the graph."""
    with tf.Graph().as_default() as graph:
        tf.io.read_file(str(tmp_path / "no such file"))
    folder = logged(tmp_path, graph.as_graph_def())
    found = describe_dump(folder, "tf-cpu-bfloat16", (), batch_size=1)
    assert "(ReadFile) reads or writes files" in found["graph"]["shapes"]["problem"]


def test_a_logged_graph_with_names_that_could_do_harm_is_refused(tmp_path: Path) -> None:
    folder = logged(tmp_path, graph_with("a\x1b[2Jb"))
    with pytest.raises(InputError, match="is no op type"):
        describe_dump(folder, "tf-cpu-bfloat16", ())
