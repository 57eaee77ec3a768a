"""Freezing: variables become Consts, functions are inlined, tables carry their own content.

The steps and their order are those of TensorFlow's own freezer
(``convert_variables_to_constants_v2``: inline with grappler's function optimizer, then convert),
run on a session's graph, so that models of TensorFlow 1 and 2 go the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional, cast

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants, op_def_registry
from tensorflow.python.grappler import tf_optimizer

from amp_tuner.errors import InputError, Problem
from amp_tuner.runtime.loader_graph import (
    first_line,
    imported,
    node_name,
    pruned,
    without_places,
)
from amp_tuner.runtime.outside_weights import (
    OutsideWeights,
    ReaderOfOthers,
    can_be_outside,
    put_outside,
    stand_in,
    variable_bytes,
)

#: A GraphDef is one protobuf message, which can hold 2 GiB; the rest is for Casts and signatures.
GRAPH_LIMIT_BYTES = 2**31 - 2**26
_VARIABLE_OPS = frozenset({"VarHandleOp", "Variable", "VariableV2"})
TABLE_OPS = frozenset(
    {"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2"}
    | {"MutableHashTableOfTensors", "MutableHashTableOfTensorsV2"}
    | {"MutableDenseHashTable", "MutableDenseHashTableV2"}
)
FILLING_OPS = frozenset(
    {"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2"}
    | {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
)


@dataclass(frozen=True)
class Frozen:
    """A frozen graph.

    Attributes:
        graph_def: without variables; devices are cleared.
        fetches: the tensors to fetch, in the order that was asked for.
        initializers: ops that a session must run once: they fill the lookup tables.
        weights: what lies outside the graph, where it would be too large otherwise.
    """

    graph_def: tf.compat.v1.GraphDef
    fetches: tuple[str, ...]
    initializers: tuple[str, ...]
    weights: Optional[OutsideWeights] = None


def freeze(
    session: tf.compat.v1.Session,
    feeds: Sequence[str],
    fetches: Sequence[str],
    where: str,
    scratch: Optional[str] = None,
) -> Frozen:
    """Freezes what computes ``fetches`` from ``feeds`` in an initialised session's graph.

    Args:
        session: holds the graph, with variables and tables filled; nodes are added to its graph.
        feeds: tensor names; they keep their names.
        fetches: tensor names.
        where: the place that errors name.
        scratch: an existing folder for weights that one GraphDef cannot hold; None: the system's.

    Raises:
        InputError: the graph writes to variables, holds state that cannot be frozen, or is too
            large for one GraphDef even with its large variables outside.
    """
    ends = fetchable(session.graph, fetches)
    roots = [node_name(name) for name in (*feeds, *ends)]
    graph_def = pruned(session.graph.as_graph_def(), roots)
    if graph_def.library.function:
        whole, _ = inlined(graph_def, feeds, ends, where)
        graph_def = pruned(whole, roots)
    outside = _outside(graph_def, roots, where)
    weights = put_outside(session, outside, scratch) if outside else None
    frozen = _as_constants(session, graph_def, outside, [node_name(name) for name in ends], where)
    # The converter drops an argument that no output needs; the signature keeps it.
    present = {node.name for node in frozen.node}
    unused = {node_name(name) for name in feeds} - present
    frozen.node.extend(node for node in graph_def.node if node.name in unused)
    without_places(frozen)
    check_state(frozen, where)
    # Inlining leaves chains of Identity and NoOp nodes behind.
    frozen = optimized(frozen, "dependency", [*feeds, *ends], where)
    tables, initializers = with_tables(session, frozen, where)
    return Frozen(tables, tuple(ends), initializers, weights)


def fetchable(graph: tf.Graph, fetches: Sequence[str]) -> list[str]:
    """``fetches``, through an Identity where the node calls: a fetched call is never inlined."""
    ends = []
    functions = _function_names(graph.as_graph_def())
    with graph.as_default():
        for name in fetches:
            tensor = graph.get_tensor_by_name(name)
            node = tensor.op.node_def
            calls = node.op in functions or any(a.HasField("func") for a in node.attr.values())
            ends.append(tf.identity(tensor, name="output").name if calls else name)
    return ends


def _function_names(graph_def: tf.compat.v1.GraphDef) -> set[str]:
    return {function.signature.name for function in graph_def.library.function}


def inlined(
    graph_def: tf.compat.v1.GraphDef, feeds: Sequence[str], ends: Sequence[str], where: str
) -> tuple[tf.compat.v1.GraphDef, str]:
    """The graph with functions inlined and control flow lowered, as TensorFlow's freezer does.

    Args:
        graph_def: the graph; it is changed.
        feeds: tensors that must stay.
        ends: other tensors that must stay.
        where: the place that errors name.

    Returns:
        A new graph, and a node of it that waits for all side effects of what was inlined.
    """
    call_ops = {"PartitionedCall", "StatefulPartitionedCall"} | _function_names(graph_def)
    calls = [node.name for node in graph_def.node if node.op in call_ops]
    # Grappler leaves a call with side effects (reading a variable counts) as it is, unless a
    # control edge out of it keeps the side effects alive.
    names = {node.name for node in graph_def.node}
    anchor = next(name for name in _fresh("inlined_calls") if name not in names)
    graph_def.node.add(name=anchor, op="NoOp", input=[f"^{name}" for name in calls])
    for function in graph_def.library.function:
        function.attr.pop("api_implements", None)  # other implementations are for other devices
    return optimized(graph_def, "function", [*feeds, *ends, anchor], where), anchor


def optimized(
    graph_def: tf.compat.v1.GraphDef, optimizer: str, keep: Sequence[str], where: str
) -> tf.compat.v1.GraphDef:
    """The graph after one of grappler's optimizers; ``keep`` are the tensors that must stay."""
    meta_graph = tf.compat.v1.MetaGraphDef(graph_def=graph_def)
    meta_graph.collection_def["train_op"].node_list.value.extend(dict.fromkeys(keep))
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    config.graph_options.rewrite_options.optimizers.append(optimizer)
    try:
        return tf_optimizer.OptimizeGraph(config, meta_graph)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        text = f"the model cannot be frozen ({optimizer} optimizer): {first_line(error)}"
        raise InputError.one(where, text) from error


def _fresh(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}_{number}" for number in itertools.count(1))


def _outside(
    graph_def: tf.compat.v1.GraphDef, roots: Sequence[str], where: str
) -> list[tf.compat.v1.NodeDef]:
    """The variables that stay outside the frozen graph: none where it can hold them all."""
    variables = [node for node in graph_def.node if node.op in _VARIABLE_OPS]
    graph_bytes = graph_def.ByteSize()
    if graph_bytes + sum(map(variable_bytes, variables)) <= GRAPH_LIMIT_BYTES:
        return []
    names = can_be_outside(graph_def, variables, roots)
    rest_bytes = graph_bytes + sum(variable_bytes(v) for v in variables if v.name not in names)
    if rest_bytes > GRAPH_LIMIT_BYTES:
        raise InputError.one(
            where,
            f"its constants and small variables take {rest_bytes / 2**30:.2f} GiB; allowed are "
            f"{GRAPH_LIMIT_BYTES / 2**30:.2f} GiB, what a graph can hold beside large variables",
        )
    return [node for node in variables if node.name in names]


def _as_constants(
    session: tf.compat.v1.Session,
    graph_def: tf.compat.v1.GraphDef,
    outside: Sequence[tf.compat.v1.NodeDef],
    ends: Sequence[str],
    where: str,
) -> tf.compat.v1.GraphDef:
    """The graph with its variables as constants, those outside as constants without content."""
    reader = ReaderOfOthers(session, outside) if outside else session
    try:
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            reader, graph_def, ends
        )
    except (ValueError, TypeError, tf.errors.OpError) as error:
        text = f"the model's variables cannot be made constants: {first_line(error)}"
        raise InputError.one(where, text) from error
    variables = {node.name: node for node in outside}
    for node in frozen.node:
        if node.name in variables:
            stand_in(node, variables[node.name])
    return frozen


def check_state(graph_def: tf.compat.v1.GraphDef, where: str) -> None:
    """Refuses what is left of variables and other state in a frozen graph.

    Raises:
        InputError: one problem for each node that holds state.
    """
    problems = [
        Problem(
            where,
            f"node {node.name!r} ({node.op}) holds or changes state, which a frozen graph cannot "
            "carry; allowed are variables that are only read, and lookup tables",
        )
        for node in graph_def.node
        if _is_state(node)
    ]
    if problems:
        raise InputError(problems)


def _is_state(node: tf.compat.v1.NodeDef) -> bool:
    """Whether a node still makes or uses a variable, a queue, an iterator, a captured handle."""
    if node.op in TABLE_OPS or node.op.startswith(("Lookup", "InitializeTable", "Ref")):
        return False
    if node.op == "Placeholder":
        return bool(node.attr["dtype"].type == tf.resource.as_datatype_enum)
    op_def = op_def_registry.get(node.op)
    ports = [] if op_def is None else [*op_def.input_arg, *op_def.output_arg]
    return any(port.is_ref or port.type == tf.resource.as_datatype_enum for port in ports)


def with_tables(
    session: tf.compat.v1.Session, graph_def: tf.compat.v1.GraphDef, where: str
) -> tuple[tf.compat.v1.GraphDef, tuple[str, ...]]:
    """Adds to each lookup table what fills it, with the content that it has in ``session``."""
    tables = [node for node in graph_def.node if node.op in TABLE_OPS]
    if not tables:
        return graph_def, ()
    contents = [_content(session, node, where) for node in tables]
    graph = imported(graph_def, where)
    with graph.as_default():
        fillers = tuple(
            _filled(graph.get_tensor_by_name(f"{node.name}:0"), node.op, keys, values)
            for node, (keys, values) in zip(tables, contents)
        )
    return graph.as_graph_def(), fillers


def _content(
    session: tf.compat.v1.Session, node: tf.compat.v1.NodeDef, where: str
) -> tuple[Any, Any]:
    """A table's keys and values, in the order in which it hands them out."""
    graph = session.graph
    export = tf.raw_ops.LookupTableExportV2 if _has_v2(node.op) else tf.raw_ops.LookupTableExport
    with graph.as_default():
        keys, values = export(
            table_handle=graph.get_tensor_by_name(f"{node.name}:0"),
            Tkeys=node.attr["key_dtype"].type,
            Tvalues=node.attr["value_dtype"].type,
        )
    try:
        return cast("tuple[Any, Any]", session.run((keys, values)))
    except tf.errors.OpError as error:
        text = f"lookup table {node.name!r} cannot be read: {first_line(error)}"
        raise InputError.one(where, text) from error


def _filled(handle: tf.Tensor, table_op: str, keys: Any, values: Any) -> str:
    """Adds the op that fills a table to the default graph; its name."""
    raw = tf.raw_ops
    if table_op.startswith("HashTable"):
        fill = raw.InitializeTableV2 if _has_v2(table_op) else raw.InitializeTable
    else:
        fill = raw.LookupTableImportV2 if _has_v2(table_op) else raw.LookupTableImport
    return str(fill(table_handle=handle, keys=keys, values=values, name="fill_table").name)


def _has_v2(op_type: str) -> bool:
    return op_type.endswith("V2")
