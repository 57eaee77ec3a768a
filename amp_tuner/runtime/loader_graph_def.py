"""Frozen GraphDefs (``.pb``): placeholders are fed; named nodes, or unread ones, are fetched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from amp_tuner.errors import InputError, Problem
from amp_tuner.runtime.graph_faults import cycles, unreadable_names
from amp_tuner.runtime.loader_freeze import FILLING_OPS, TABLE_OPS, check_state
from amp_tuner.runtime.loader_graph import (
    broken_constants,
    by_name,
    check_message_size,
    dangling,
    imported,
    needed,
    node_name,
    pruned,
    tensor_name,
    unknown_ops,
    without_places,
    without_swollen,
)
from amp_tuner.runtime.loader_model import FrozenModel
from amp_tuner.runtime.model_names import wrong_names
from amp_tuner.runtime.unsafe import unsafe_nodes
from amp_tuner.text import did_you_mean
from amp_tuner.worker.protocol import ModelSource, TensorInfo

SIGNATURE = "serving_default"
#: Nodes that nobody consumes and that are no outputs all the same.
_NO_OUTPUTS = frozenset({"Const", "Placeholder", "PlaceholderWithDefault"}) | FILLING_OPS


def load_graph_def(source: ModelSource) -> FrozenModel:
    """Loads a frozen GraphDef; an argument is named like its placeholder, an output like its node.

    Raises:
        InputError: every problem of the file.
    """
    full = _parsed(source.path)
    _check(full, source)
    graph = imported(without_swollen(full), source.path)
    fetches = _fetches(graph, source)
    ends = [node_name(tensor) for tensor in fetches.values()]
    nodes = by_name(full.node)
    fillers = _fillers(nodes, needed(nodes, ends), source.path)
    graph_def = pruned(full, [*ends, *fillers])
    without_places(graph_def)
    check_state(graph_def, source.path)
    feeds = [node.name for node in graph_def.node if node.op == "Placeholder"]
    return FrozenModel(
        graph_def=graph_def,
        signature=SIGNATURE,
        inputs=tuple(_tensor_info(graph, name, f"{name}:0") for name in feeds),
        outputs=tuple(_tensor_info(graph, name, tensor) for name, tensor in fetches.items()),
        feeds={name: f"{name}:0" for name in feeds},
        fetches=fetches,
        initializers=tuple(fillers),
        notices=tuple(
            f"placeholder {node.name!r} keeps its default: it is no argument"
            for node in graph_def.node
            if node.op == "PlaceholderWithDefault"
        ),
    )


def _parsed(path: str) -> tf.compat.v1.GraphDef:
    try:
        check_message_size(Path(path))
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError.one(path, f"cannot be read: {error.strerror}") from error
    graph_def = tf.compat.v1.GraphDef()
    allowed = "allowed is a frozen GraphDef as binary protobuf"
    if Path(path).name == "saved_model.pb":
        text = f"is part of a SavedModel; give its folder instead: {Path(path).parent}"
        raise InputError.one(path, text)
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        found = "text" if _is_text(data) else "truncated or broken data"
        problems = unreadable_names(data) or [f"holds {found}; {allowed}"]
        raise InputError(Problem(path, problem) for problem in problems) from error
    if not graph_def.node:
        raise InputError.one(path, f"holds no nodes; {allowed}")
    return graph_def


def _is_text(data: bytes) -> bool:
    try:
        return all(c.isprintable() or c.isspace() for c in data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _check(graph_def: tf.compat.v1.GraphDef, source: ModelSource) -> None:
    """All checks that need no graph, at once."""
    nodes = by_name(graph_def.node)
    wanted = [node_name(name) for name in source.fetches]
    problems = wrong_names(graph_def)
    if problems:
        # Before any other message names a node.
        raise InputError(Problem(source.path, problem) for problem in problems)
    problems = [
        *unknown_ops(graph_def),
        *dangling(graph_def),
        *cycles(graph_def),
        *broken_constants(graph_def),
    ]
    if not source.allow_unsafe:
        runs = wanted or [name for name in nodes if name not in _consumed(graph_def)]
        problems += unsafe_nodes(graph_def, runs)
    problems += [
        f"has no node {name!r}{did_you_mean(name, nodes)} to fetch; allowed are its nodes"
        for name in wanted
        if name not in nodes
    ]
    if source.signature != SIGNATURE:
        problems.append(f"a .pb has no signature {source.signature!r}; allowed is {SIGNATURE!r}")
    if problems:
        raise InputError(Problem(source.path, problem) for problem in problems)


def _consumed(graph_def: tf.compat.v1.GraphDef) -> set[str]:
    return {node_name(reference) for node in graph_def.node for reference in node.input}


def _fetches(graph: tf.Graph, source: ModelSource) -> dict[str, str]:
    """Output name to tensor: what is asked for, or all tensors of the nodes nobody consumes."""
    tensors = [tensor_name(name) for name in source.fetches]
    if not tensors:
        consumed = _consumed(graph.as_graph_def())
        tensors = [
            tensor.name
            for op in graph.get_operations()
            if op.name not in consumed and op.type not in _NO_OUTPUTS
            for tensor in op.outputs
        ]
    known = {tensor.name for op in graph.get_operations() for tensor in op.outputs}
    problems = [
        f"has no tensor {name!r} to fetch: node {node_name(name)!r} has "
        f"{len(graph.get_operation_by_name(node_name(name)).outputs)} output(s)"
        for name in tensors
        if name not in known
    ]
    if not tensors:
        problems.append("has no output: every node is consumed; name what to fetch in fetches")
    if problems:
        raise InputError(Problem(source.path, problem) for problem in problems)
    return {name[:-2] if name.endswith(":0") else name: name for name in tensors}


def _fillers(
    nodes: Mapping[str, tf.compat.v1.NodeDef], running: Collection[str], where: str
) -> list[str]:
    """The ops that fill the lookup tables that run.

    Raises:
        InputError: a table is never filled.
    """
    tables = {name for name in running if nodes[name].op in TABLE_OPS}
    fillers = {
        node_name(node.input[0]): name for name, node in nodes.items() if node.op in FILLING_OPS
    }
    empty = sorted(tables - fillers.keys())
    if empty:
        raise InputError(
            Problem(where, f"lookup table {name!r} is filled by no node; allowed are filled tables")
            for name in empty
        )
    return [fillers[name] for name in sorted(tables)]


def _tensor_info(graph: tf.Graph, name: str, tensor_name: str) -> TensorInfo:
    tensor = graph.get_tensor_by_name(tensor_name)
    rank = tensor.shape.rank
    shape = None if rank is None else tuple(-1 if d is None else d for d in tensor.shape.as_list())
    return TensorInfo(name, tensor.dtype.base_dtype.name, shape)
