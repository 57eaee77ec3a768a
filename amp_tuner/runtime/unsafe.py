"""Models are not trusted: what could run code or touch files is found before it is loaded.

TensorFlow's graphs can call Python (``PyFunc``), read and write files and open connections; Keras
files can carry Python bytecode (``Lambda`` layers) and names of functions to import. None of that
is looked for by running it: graphs are read as protobuf, Keras' configuration as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Optional

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
