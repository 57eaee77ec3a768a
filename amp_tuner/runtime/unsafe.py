"""Models are not trusted: what could run code or touch files is found before it is loaded.

TensorFlow's graphs can call Python (``PyFunc``), read and write files and open connections; Keras
files can carry Python bytecode (``Lambda`` layers) and names of functions to import. None of that
is looked for by running it: graphs are read as protobuf, Keras' configuration as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Optional

import tensorflow as tf

from amp_tuner.runtime.file_names import FileNames
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
GenerateVocabRemapping ImmutableConst InitializeTRTResource LMDBDataset LMDBReader
ListSnapshotChunksDataset LoadAndRemapMatrix LoadDataset MatchingFiles MatchingFilesDataset
ReadFile RecordInput RegisterDataset RegisterDatasetV2 RemoteCall RpcCall RpcClient RpcServer
RpcServerRegister RpcServerStart SaveDataset SaveDatasetV2 Skipgram SnapshotChunkDataset
SnapshotDataset SnapshotDatasetReader SnapshotDatasetV2 SnapshotNestedDatasetReader SqlDataset
TFRecordDataset TFRecordDatasetV2 TFRecordReader TFRecordReaderV2 TextLineDataset TextLineReader
TextLineReaderV2 WholeFileReader WholeFileReaderV2 WriteFile
"""
_FILE_OPS = frozenset(_FILE_OP_NAMES.split())
#: They run a graph that nobody has looked into.
_HIDING_OPS = frozenset({"DatasetFromGraph"})
_PROTO_OPS = frozenset({"DecodeProtoV2", "EncodeProto"})
_PRINT_TARGETS = re.compile(r"(stdout|stderr|log\((info|warning|error)\))?")
_PROTO_SOURCES = re.compile(r"(local|bytes)://|$")
_ALLOW = "; set allow_unsafe: true if you trust the model"


@dataclass(frozen=True)
class Loader:
    """What a SavedModel's loader runs besides the signature, and what it feeds.

    Attributes:
        initial: names of the nodes that initialise the model.
        restore_op: name of the node that restores its variables.
        checkpoint: the tensor that is fed with the name of the model's checkpoint.
        assets: tensors that are fed with the names of the model's asset files.
    """

    initial: tuple[str, ...] = ()
    restore_op: str = ""
    checkpoint: str = ""
    assets: tuple[str, ...] = ()


def unsafe_nodes(
    graph_def: tf.compat.v1.GraphDef,
    runs: Collection[str],
    loader: Loader = Loader(),
) -> list[str]:
    """One text for each op type that calls Python, touches files or opens connections.

    The whole graph and its function library are searched. A SavedModel carries nodes that save
    and restore its variables and may fill tables from its asset files: they may be there where
    nothing but its loader runs them, and where they read the files that the loader names.

    Args:
        graph_def: the model.
        runs: names of the nodes that a session is asked for.
        loader: of a SavedModel.
    """
    ours = _OwnFiles(graph_def, runs, loader)
    found: dict[str, str] = {}
    for function, node in all_nodes(graph_def):
        reason = None if ours.is_harmless(function, node) else _reason(node)
        if reason:
            text = f"node {full_name(function, node)!r} ({node.op}) {reason}{_ALLOW}"
            found.setdefault(node.op, text)
    return list(found.values())


class _OwnFiles:
    """Which file ops only touch the model's own files."""

    def __init__(
        self, graph_def: tf.compat.v1.GraphDef, runs: Collection[str], loader: Loader
    ) -> None:
        self._asked = _scopes(graph_def, runs)
        self._initial = _scopes(graph_def, loader.initial)
        self._restoring = _scopes(graph_def, [loader.restore_op])
        self._loader = loader
        self._names = FileNames(graph_def)

    def is_harmless(self, function: str, node: tf.compat.v1.NodeDef) -> bool:
        scope = (function, "" if function else node.name)
        if node.op in _SAVE_OPS:
            return scope not in self._asked | self._initial | self._restoring
        if node.op in _RESTORE_OPS:
            return scope not in self._asked | self._initial and (
                scope not in self._restoring
                or self._names.are_given([self._loader.checkpoint], function, node, 0)
            )
        if node.op in _ASSET_OPS:
            return scope not in self._asked and self._names.are_given(
                self._loader.assets, function, node, 1
            )
        return False


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
    if node.op in _HIDING_OPS:
        return "runs another graph that it holds as text, which is refused in a model"
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
