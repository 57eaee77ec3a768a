"""Models are not trusted: what could run code or touch files is found before it is loaded.

TensorFlow's graphs can call Python (``PyFunc``), read and write files and open connections; Keras
files can carry Python bytecode (``Lambda`` layers) and names of functions to import. None of that
is looked for by running it: graphs are read as protobuf, Keras' configuration as JSON.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, Optional

import tensorflow as tf

from amp_tuner.runtime.loader_graph import (
    all_nodes,
    by_name,
    full_name,
    needed,
    reachable_functions,
)

PYTHON_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
_RESTORE_OPS = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
_SAVE_OPS = frozenset({"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2"})
_ASSET_OPS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
# Ops whose arguments or attributes name files, folders or addresses (from the op list of TensorFlow
# 2.21, besides those above).
_FILE_OP_NAMES = """
CSVDataset CSVDatasetV2 CacheDataset CacheDatasetV2 CalibrationStatisticsSaver
CreateSummaryDbWriter CreateSummaryFileWriter DTensorRestoreV2 DataServiceDataset
DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 DatasetToTFRecord DebugIdentity
DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary DebugNumericSummaryV2
DistributedSave DumpTensor ExperimentalCSVDataset ExperimentalDatasetToTFRecord
ExperimentalLMDBDataset ExperimentalMatchingFilesDataset ExperimentalSqlDataset
FileSystemSetConfiguration FixedLengthRecordDataset FixedLengthRecordDatasetV2
FixedLengthRecordReader FixedLengthRecordReaderV2 FixedUnigramCandidateSampler
GenerateVocabRemapping LMDBDataset LMDBReader ListSnapshotChunksDataset LoadAndRemapMatrix
LoadDataset MatchingFiles MatchingFilesDataset ReadFile RecordInput RegisterDataset
RegisterDatasetV2 RemoteCall RpcCall RpcClient RpcServer RpcServerRegister RpcServerStart
SaveDataset SaveDatasetV2 Skipgram SnapshotChunkDataset SnapshotDataset SnapshotDatasetReader
SnapshotDatasetV2 SnapshotNestedDatasetReader SqlDataset TFRecordDataset TFRecordDatasetV2
TFRecordReader TFRecordReaderV2 TextLineDataset TextLineReader TextLineReaderV2 WholeFileReader
WholeFileReaderV2 WriteFile
"""
_FILE_OPS = frozenset(_FILE_OP_NAMES.split())
_PROTO_OPS = frozenset({"DecodeProtoV2", "EncodeProto"})
_PRINT_TARGETS = re.compile(r"(stdout|stderr|log\((info|warning|error)\))?")
_PROTO_SOURCES = re.compile(r"(local|bytes)://|$")
_ALLOW = "; set allow_unsafe: true if you trust the model"

#: Keras layers that run code or load files of the author's choice.
_UNSAFE_LAYERS = {
    "Lambda": "runs Python code that the file carries",
    "TorchModuleWrapper": "unpickles data that the file carries",
    "JaxLayer": "runs code that the file carries",
    "FlaxLayer": "runs code that the file carries",
    "TFSMLayer": "loads another model from a path",
}
_KERAS_MODULE = re.compile(r"builtins$|(tf_)?keras(\.|$)")
#: Where Keras keeps what a configuration may name as a function.
_KERAS_FUNCTIONS = re.compile(
    r"(tf_)?keras\.(src\.)?(activations|constraints|initializers|losses|metrics|ops|regularizers)\b"
)


def unsafe_nodes(
    graph_def: tf.compat.v1.GraphDef,
    runs: Iterable[str],
    restore_op: str = "",
    *,
    has_assets: bool = False,
) -> list[str]:
    """One text for each op type that calls Python, touches files or opens connections.

    The whole graph and its function library are searched. Only the ops of a checkpoint may be
    there where nothing runs them: a SavedModel carries nodes that save and restore its variables.

    Args:
        graph_def: the model.
        runs: names of the nodes that a session is asked for.
        restore_op: the node that a SavedModel's loader runs to restore variables.
        has_assets: a SavedModel with asset files may fill tables from them.
    """
    running = _scopes(graph_def, runs)
    restoring = _scopes(graph_def, [restore_op])
    found: dict[str, str] = {}
    for function, node in all_nodes(graph_def):
        scope = (function, "" if function else node.name)
        harmless = (
            (node.op in _RESTORE_OPS and scope not in running)
            or (node.op in _SAVE_OPS and scope not in running | restoring)
            or (node.op in _ASSET_OPS and has_assets)
        )
        reason = None if harmless else _reason(node)
        if reason:
            text = f"node {full_name(function, node)!r} ({node.op}) {reason}{_ALLOW}"
            found.setdefault(node.op, text)
    return list(found.values())


def _scopes(graph_def: tf.compat.v1.GraphDef, roots: Iterable[str]) -> set[tuple[str, str]]:
    """What running ``roots`` can run: ``("", node)`` and ``(function, "")``."""
    nodes = by_name(graph_def.node)
    running = needed(nodes, roots)
    library = {function.signature.name: function for function in graph_def.library.function}
    functions = reachable_functions([nodes[name] for name in running], library)
    return {("", name) for name in running} | {(name, "") for name in functions}


def _reason(node: tf.compat.v1.NodeDef) -> Optional[str]:
    if node.op in PYTHON_OPS:
        return "calls Python, which is refused in a model"
    if (
        node.op in _FILE_OPS | _RESTORE_OPS | _SAVE_OPS | _ASSET_OPS
        or (node.op == "PrintV2" and not _PRINT_TARGETS.fullmatch(_text(node, "output_stream")))
        or (node.op in _PROTO_OPS and not _PROTO_SOURCES.match(_text(node, "descriptor_source")))
    ):
        return "reads or writes files or opens connections, which is refused in a model"
    return None


def _text(node: tf.compat.v1.NodeDef, attribute: str) -> str:
    """A node's string attribute; empty where it has its default."""
    return str(node.attr[attribute].s.decode("utf-8", "replace"))


def unsafe_archive_names(names: Iterable[str]) -> list[str]:
    """One text for each member of a ``.keras`` archive that would land outside its folder."""
    return [
        f"the archive's member {name!r} leads out of its folder, which is never allowed"
        for name in names
        if PurePosixPath(name.replace("\\", "/")).is_absolute()
        or ".." in PurePosixPath(name.replace("\\", "/")).parts
        or re.match(r"[A-Za-z]:", name)
    ]


def unsafe_keras_config(config: Any) -> list[str]:
    """One text for each part of a Keras configuration that runs code, imports or reads files.

    Args:
        config: a model's configuration as JSON, of Keras 2 or 3.
    """
    return list(dict.fromkeys(f"{text}{_ALLOW}" for text in _keras_problems(config, "the model")))


def _keras_problems(value: Any, layer: str) -> Iterator[str]:
    """Walks through ``value``; ``layer`` is the innermost named object around it."""
    if isinstance(value, list):
        for item in value:
            yield from _keras_problems(item, layer)
    elif isinstance(value, dict):
        inner = value.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            layer = f"layer {inner['name']!r}"
        yield from _object_problems(value, layer)
        for item in value.values():
            yield from _keras_problems(item, layer)


def _object_problems(value: dict[str, Any], layer: str) -> Iterator[str]:
    """What is wrong with one object of a configuration, its parts aside."""
    kind, module = value.get("class_name"), value.get("module")
    if kind in _UNSAFE_LAYERS:
        yield f"{layer} ({kind}) {_UNSAFE_LAYERS[kind]}, which is refused"
    elif kind == "__lambda__":
        yield f"{layer} carries a Python lambda, which is refused"
    elif kind == "function" and not _is_keras_function(value):
        yield f"{layer} names the function {module}.{value.get('config')}, which is refused"
    elif kind is not None and isinstance(module, str) and not _KERAS_MODULE.match(module):
        yield f"{layer} imports {module}.{kind}, which is refused; allowed are Keras' own"
    if isinstance(value.get("vocabulary"), str):
        yield f"{layer} reads its vocabulary from the file {value['vocabulary']!r}, refused"


def _is_keras_function(value: dict[str, Any]) -> bool:
    """Whether a function's name can only mean one of Keras' own harmless functions."""
    module, name = value.get("module"), value.get("config")
    if not isinstance(name, str):
        return False
    if module in (None, "builtins"):
        return not hasattr(builtins, name)
    return isinstance(module, str) and bool(_KERAS_FUNCTIONS.match(module))
