"""Builders of models that are after something: files, code, the terminal, the memory."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

GraphDef = tf.compat.v1.GraphDef
#: An op of each kind that calls Python, reads or writes files, or hides a graph.
UNSAFE_OPS = """
PyFunc PyFuncStateless EagerPyFunc ReadFile WriteFile MatchingFiles Save SaveSlices SaveV2 Restore
RestoreSlice RestoreV2 MergeV2Checkpoints DebugIdentityV3 DebugNanCount
LoadDataset SaveDatasetV2 TFRecordDataset TFRecordDatasetV2 TextLineDataset
FixedLengthRecordDatasetV2 CSVDatasetV2 SqlDataset CacheDatasetV2 SnapshotDatasetV2
MatchingFilesDataset TFRecordReaderV2 WholeFileReaderV2 InitializeTableFromTextFile
InitializeTableFromTextFileV2 LoadAndRemapMatrix GenerateVocabRemapping ImmutableConst
CreateSummaryFileWriter DatasetToTFRecord RegisterDatasetV2 DataServiceDatasetV4 RpcClient
FileSystemSetConfiguration DatasetFromGraph
""".split()  # noqa: SIM905 - forty quoted names would be forty lines
#: What a terminal, a shell, a page or a line-oriented reader takes for more than text.
WORDS = (
    "a\nb",
    "a\x1b[2Jb",
    "a\x07b",
    "a; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a'b",
    'a"b',
    "<script>alert(1)</script>",
    "a\u202eb",
    "../../etc/passwd\0",
    "x" * 20_000,
)


def graph_with(op: str, *, inside: str = "") -> GraphDef:
    """A graph whose one output waits for a node of an op type.

    Args:
        op: the op type.
        inside: empty: in the graph itself; ``called`` or ``uncalled``: in a function.
    """
    graph_def = GraphDef()
    output = graph_def.node.add(name="y", op="Const")
    output.attr["dtype"].type = tf.float32.as_datatype_enum
    output.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0))
    if not inside:
        graph_def.node.add(name="sly", op=op)
        output.input.append("^sly")
        return graph_def
    function = graph_def.library.function.add()
    function.signature.name = "helper"
    function.node_def.add(name="sly", op=op)
    if inside == "called":
        call = graph_def.node.add(name="call", op="StatefulPartitionedCall")
        call.attr["f"].func.name = "helper"
        output.input.append("^call")
    return graph_def


def write_pb(folder: Path, graph_def: GraphDef) -> Path:
    """A frozen model."""
    path = folder / "model.pb"
    path.write_bytes(graph_def.SerializeToString())
    return path


def edited_saved_model(
    original: Path, folder: Path, edit: Callable[[meta_graph_pb2.MetaGraphDef], None]
) -> Path:
    """A copy of a SavedModel, its graph changed by ``edit``."""
    copy = Path(shutil.copytree(original, folder / "edited"))
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((copy / "saved_model.pb").read_bytes())
    edit(saved.meta_graphs[0])
    (copy / "saved_model.pb").write_bytes(saved.SerializeToString())
    return copy


def function_with(meta_graph: meta_graph_pb2.MetaGraphDef, op: str) -> Any:
    """The first function of a graph that has a node of that op type, and the node."""
    for function in meta_graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == op:
                return function, node
    raise LookupError(op)


def text_constant(nodes: Any, name: str, text: str) -> None:
    """Adds a Const of one text."""
    node = nodes.add(name=name, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))


def keras_config(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a sequential model of four features, with ``layers`` at its end."""
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "x"},
        "registered_name": None,
    }
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "m", "trainable": True, "layers": [first, *layers]},
        "registered_name": None,
        "build_config": {"input_shape": [None, 4]},
    }


def write_keras(
    path: Path, config: Any, members: Mapping[str, bytes] = {}, *, packed: bool = False
) -> Path:
    """A ``.keras`` archive of a configuration and other members.

    Args:
        path: where to.
        config: written as JSON, or as it is where it is text.
        members: other members, such as weights.
        packed: compressed.
    """
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", how) as archive:
        text = config if isinstance(config, str) else json.dumps(config)
        archive.writestr("config.json", text)
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        for name, content in members.items():
            archive.writestr(name, content)
    return path


class Pickled:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def pickled_npz(mark: Path) -> bytes:
    """An ``.npz`` whose array ``0`` is a pickled object that leaves a mark."""
    stream = io.BytesIO()
    np.savez(stream, **{"0": np.array([Pickled(mark)], dtype=object)})
    return stream.getvalue()
