"""Weights beside a GraphDef: what one protobuf message of 2 GiB cannot hold.

In the graph an outside weight is a Const without content whose attribute ``_outside_weight`` names
it; passes skip attributes that start with an underscore, so the graph is described, painted and
rewritten like any other. The values lie in a checkpoint. They become variables where the graph
runs or is written; one weight at a time is read, and none is kept.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, tensor_pb2, tensor_shape_pb2

from amp_tuner.runtime.graph_inputs import producer, split_tensor
from amp_tuner.runtime.loader_graph import cpu_session, import_into, imported

ATTRIBUTE = "_outside_weight"
#: Smaller variables become constants all the same: shapes may depend on their values.
SMALLEST_BYTES = 64 * 1024
_CHECKPOINT = "weights"
_SHARD = "shard"


@dataclass(frozen=True)
class OutsideWeights:
    """The values of a graph's outside weights.

    Attributes:
        prefix: of the checkpoint that holds them, as they were in the model, by name.
        data_types: TensorFlow's type of each in the checkpoint.
        folder: the checkpoint's folder; removed with the last reference to it.
    """

    prefix: str
    data_types: Mapping[str, tf.DType]
    folder: tempfile.TemporaryDirectory[str]


@dataclass(frozen=True)
class WeightVariables:
    """A graph whose outside weights are variables.

    Attributes:
        graph: with variables that nobody has filled.
        by_weight: the variable of each node that stood for a weight.
        names: the weight's name in the checkpoint, by the same node.
    """

    graph: tf.Graph
    by_weight: Mapping[str, tf.Variable]
    names: Mapping[str, str]


def variable_bytes(variable: node_def_pb2.NodeDef) -> int:
    """Bytes of a variable (its ``VarHandleOp`` or ``VariableV2``), 0 where its shape is open."""
    shape = variable.attr["shape"].shape
    dtype = tf.as_dtype(variable.attr["dtype"].type)
    if shape.unknown_rank or any(side.size < 0 for side in shape.dim):
        return 0
    return math.prod(int(side.size) for side in shape.dim) * int(dtype.size)


def can_be_outside(
    graph_def: graph_pb2.GraphDef, variables: Sequence[node_def_pb2.NodeDef], roots: Collection[str]
) -> set[str]:
    """Names of those variables of a graph that can be outside weights.

    They are large, no ``roots`` themselves, not made inside a loop's frame, and read by nodes of
    the graph itself: a function that stayed a function knows its arguments' shapes.
    """
    callers = [
        node
        for node in graph_def.node
        if any(value.HasField("func") for value in node.attr.values())
    ]
    called_with = {producer(name) for node in callers for name in node.input}
    return {
        node.name
        for node in variables
        if variable_bytes(node) >= SMALLEST_BYTES
        and not node.input
        and node.name not in called_with
        and node.name not in roots
        and tf.as_dtype(node.attr["dtype"].type) != tf.string
    }


def put_outside(
    session: tf.compat.v1.Session, variables: Sequence[node_def_pb2.NodeDef], scratch: str | None
) -> OutsideWeights:
    """Writes variables of an initialised session into a checkpoint of their own.

    Args:
        session: its graph gets a few nodes more; the values are not copied in memory.
        variables: their nodes.
        scratch: an existing folder to make the checkpoint's folder in; None: the system's.
    """
    folder = tempfile.TemporaryDirectory(prefix="weights-", dir=scratch)
    prefix = str(Path(folder.name) / _CHECKPOINT)
    with session.graph.as_default():
        values = [_read(session.graph, node) for node in variables]
        names = [node.name for node in variables]
        save = tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
        )
    session.run(save)
    types = {node.name: tf.as_dtype(node.attr["dtype"].type) for node in variables}
    return OutsideWeights(prefix, types, folder)


def _read(graph: tf.Graph, variable: node_def_pb2.NodeDef) -> tf.Tensor:
    tensor = graph.get_tensor_by_name(f"{variable.name}:0")
    if variable.op != "VarHandleOp":
        return tf.identity(tensor)
    return tf.raw_ops.ReadVariableOp(resource=tensor, dtype=variable.attr["dtype"].type)


class ReaderOfOthers:
    """What TensorFlow's freezer needs of a session, outside weights left out: each is one zero.

    Args:
        session: reads the other variables.
        outside: nodes of variables.
    """

    def __init__(
        self, session: tf.compat.v1.Session, outside: Sequence[node_def_pb2.NodeDef]
    ) -> None:
        self._session = session
        self._zeros = {
            _reading(node): np.zeros((), tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype)
            for node in outside
        }

    def run(self, tensors: Sequence[str]) -> list[Any]:
        """The values of ``tensors``, as a session's own ``run`` gives them."""
        others = [name for name in tensors if name not in self._zeros]
        values = dict(zip(others, self._session.run(others)))
        return [values[name] if name in values else self._zeros[name] for name in tensors]


def _reading(variable: node_def_pb2.NodeDef) -> str:
    """The tensor that the freezer reads a variable by."""
    read = "/Read/ReadVariableOp" if variable.op == "VarHandleOp" else ""
    return f"{variable.name}{read}:0"


def stand_in(constant: node_def_pb2.NodeDef, variable: node_def_pb2.NodeDef) -> None:
    """Makes the Const that a variable was frozen to stand for the outside weight, in place."""
    constant.attr["value"].tensor.CopyFrom(
        empty_tensor(variable.attr["shape"].shape, variable.attr["dtype"].type)
    )
    constant.attr[ATTRIBUTE].s = variable.name.encode()


def is_outside(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node stands for an outside weight."""
    return ATTRIBUTE in node.attr


def empty_tensor(
    shape: tensor_shape_pb2.TensorShapeProto, data_type: int
) -> tensor_pb2.TensorProto:
    """A tensor of that shape without content (TensorFlow reads zeros)."""
    return tensor_pb2.TensorProto(dtype=data_type, tensor_shape=shape)


def imported_with_variables(graph_def: graph_pb2.GraphDef, where: str) -> WeightVariables:
    """A graph in which the stand-ins of ``graph_def`` are variables of their type.

    Raises:
        InputError: TensorFlow refuses the graph; ``where`` is the place named.
    """
    weights = [node for node in graph_def.node if is_outside(node)]
    if not weights:
        return WeightVariables(imported(graph_def, where), {}, {})
    rest = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    rest.node.extend(node for node in graph_def.node if not is_outside(node))
    scope = _free_scope(node.name for node in rest.node)
    graph = tf.Graph()
    with graph.as_default():
        variables = {node.name: _variable(f"{scope}/{node.name}", node) for node in weights}
        import_into(graph, rest, where, _reads(rest, variables))
    names = {node.name: node.attr[ATTRIBUTE].s.decode() for node in weights}
    return WeightVariables(graph, variables, names)


def _variable(name: str, weight: node_def_pb2.NodeDef) -> tf.Variable:
    shape = [side.size for side in weight.attr["value"].tensor.tensor_shape.dim]
    data_type = tf.as_dtype(weight.attr["dtype"].type)
    return tf.compat.v1.Variable(
        lambda: tf.zeros(shape, data_type), trainable=False, use_resource=True, name=name
    )


def _reads(rest: graph_pb2.GraphDef, variables: Mapping[str, tf.Variable]) -> dict[str, tf.Tensor]:
    """What to read where a node reads a weight, or waits for one."""
    used = {name for node in rest.node for name in node.input}
    found = {}
    for name in used:
        is_control = name.startswith("^")
        node, port = (name[1:], 0) if is_control else split_tensor(name)
        if node in variables:
            found[name if is_control else f"{node}:{port}"] = variables[node].value()
    return found


def _free_scope(names: Iterator[str]) -> str:
    taken = {name.split("/")[0] for name in names}
    scopes = itertools.chain(["weights"], (f"weights_{n}" for n in itertools.count(1)))
    return next(scope for scope in scopes if scope not in taken)


def fill(
    session: tf.compat.v1.Session, variables: WeightVariables, weights: OutsideWeights
) -> None:
    """Gives each variable its value, one at a time, in the variable's type."""
    with session.graph.as_default():
        steps = [
            tf.raw_ops.AssignVariableOp(
                resource=variable.handle,
                value=_value(variables.names[node], variable.dtype, weights),
            )
            for node, variable in variables.by_weight.items()
        ]
    for step in steps:
        session.run(step)


def fill_handles(session: tf.compat.v1.Session, weights: OutsideWeights) -> None:
    """Gives each variable that a session's graph has under its own name the value of before."""
    graph = session.graph
    with graph.as_default():
        steps = [
            tf.raw_ops.AssignVariableOp(
                resource=graph.get_tensor_by_name(f"{name}:0"),
                value=_value(name, data_type, weights),
            )
            for name, data_type in weights.data_types.items()
        ]
    for step in steps:
        session.run(step)


def write_checkpoint(variables: WeightVariables, weights: OutsideWeights, prefix: str) -> None:
    """Writes the checkpoint of ``variables`` without filling them: one weight is held at a time."""
    folder = tempfile.mkdtemp(dir=Path(prefix).parent, prefix=f"{_SHARD}-")
    shards = [str(Path(folder) / f"{_SHARD}-{n}") for n in range(len(variables.by_weight))]
    with tf.Graph().as_default() as graph:
        steps = [
            tf.raw_ops.SaveV2(
                prefix=shard,
                tensor_names=[variable.op.name],
                shape_and_slices=[""],
                tensors=[_value(variables.names[node], variable.dtype, weights)],
            )
            for shard, (node, variable) in zip(shards, variables.by_weight.items())
        ]
        merge = tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=shards, destination_prefix=prefix, delete_old_dirs=True
        )
    with cpu_session(graph) as session:
        for step in (*steps, merge):
            session.run(step)


def read_weight(node: node_def_pb2.NodeDef, weights: OutsideWeights) -> Any:
    """The array that a stand-in stands for, in the stand-in's type."""
    with tf.Graph().as_default() as graph:
        name, data_type = node.attr[ATTRIBUTE].s.decode(), node.attr["dtype"].type
        value = _value(name, tf.as_dtype(data_type), weights)
    with cpu_session(graph) as session:
        return session.run(value)


def _value(name: str, data_type: tf.DType, weights: OutsideWeights) -> tf.Tensor:
    """A weight in ``data_type``; rounded by the Cast that a rewritten graph would run."""
    stored = weights.data_types[name]
    (value,) = tf.raw_ops.RestoreV2(
        prefix=weights.prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[stored]
    )
    return value if stored == data_type else tf.raw_ops.Cast(x=value, DstT=data_type)
