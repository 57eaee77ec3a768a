"""Kinds of nodes: what follows from op and types alone, worked out once for all that share them.

A graph has thousands of nodes and dozens of kinds; reading a definition for every node anew would
take most of the time that a rewrite takes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Optional

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2, op_def_pb2, types_pb2

from amp_tuner.amp.rules import RuleSet
from amp_tuner.errors import RewriteError
from amp_tuner.runtime.kernels import KernelTable
from amp_tuner.runtime.node_types import (
    NodeTypes,
    OpDefs,
    TypeId,
    allows_type,
    attribute_value,
    node_types,
    registered,
    type_of,
)

_QUANTIZED = frozenset(
    {
        types_pb2.DT_QINT8,
        types_pb2.DT_QUINT8,
        types_pb2.DT_QINT16,
        types_pb2.DT_QUINT16,
        types_pb2.DT_QINT32,
    }
)
_REINTERPRETING = frozenset({"Bitcast", "DecodePaddedRaw", "DecodeRaw"})


@dataclass(frozen=True)
class NodeKind:
    """What all nodes of the same op with the same types share.

    Attributes:
        op: the op type.
        types: ports and type attributes.
        dtypes: the type of each of ``types.ids``, by TensorFlow's name.
        type_ok: whether the op allows the 16-bit type there.
        input_vertices, output_vertices: for each port the place of its type in ``types.ids``.
        forceable, quantized, tunable: as in TypedNode.
    """

    op: str
    types: NodeTypes
    dtypes: tuple[str, ...]
    type_ok: tuple[bool, ...]
    input_vertices: tuple[int, ...]
    output_vertices: tuple[int, ...]
    forceable: bool
    quantized: bool
    tunable: bool
    _all_types: dict[str, tuple[int, ...]]
    _kernel_ok: dict[tuple[str, str], tuple[bool, ...]] = field(default_factory=dict)

    def kernel_ok(
        self, kernels: KernelTable, device: str, label: str, target: int
    ) -> tuple[bool, ...]:
        """Whether a kernel exists with just that attribute in 16 bits, for each of ``types.ids``.

        Args:
            kernels: which exist.
            device: device type; empty for none.
            label: the node's ``_kernel`` label.
            target: number of the 16-bit type.
        """
        found = self._kernel_ok.get((device, label))
        if found is None:
            found = self._kernel_ok[device, label] = tuple(
                bool(device and type_id.attribute and type_ok)
                and kernels.has_kernel(self.op, device, label, self._changed(type_id, target))
                for type_id, type_ok in zip(self.types.ids, self.type_ok)
            )
        return found

    def _changed(self, type_id: TypeId, target: int) -> dict[str, tuple[int, ...]]:
        values = list(self._all_types[type_id.attribute])
        values[max(type_id.element, 0)] = target
        return {**self._all_types, type_id.attribute: tuple(values)}


class NodeKinds:
    """The kinds of one graph's nodes under one rule set."""

    def __init__(self, op_defs: OpDefs, rules: RuleSet, target: int) -> None:
        self._op_defs = op_defs
        self._rules = rules
        self._target = target
        self._ops: dict[str, _Op] = {}
        self._kinds: dict[tuple[object, ...], NodeKind] = {}

    def of(self, node: node_def_pb2.NodeDef) -> NodeKind:
        """The kind of a node.

        Raises:
            RewriteError: op or attributes are not as they are defined.
        """
        op = self._ops.get(node.op)
        if op is None:
            op = self._ops[node.op] = self._op(node)
        key = op.key(node)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = self._kind(node, op)
        return kind

    def _op(self, node: node_def_pb2.NodeDef) -> _Op:
        op_def = self._op_defs.find(node.op)
        if op_def is None:
            raise RewriteError(f"{node.name}: unknown op {node.op}")
        arguments = (*op_def.input_arg, *op_def.output_arg)
        numbers = {argument.number_attr for argument in arguments}
        kinds = {
            attribute.name: "number" if attribute.name in numbers else attribute.type
            for attribute in op_def.attr
        }
        return _Op(op_def, registered(node.op), kinds)

    def _kind(self, node: node_def_pb2.NodeDef, op: _Op) -> NodeKind:
        types = node_types(node, op.op_def, self._rules.tolerated_attributes)
        held = [type_of(node, op.op_def, type_id) for type_id in types.ids]
        type_def = op.op_def if self._rules.types_of_functions else op.registered
        return NodeKind(
            op=node.op,
            types=types,
            dtypes=tuple(map(type_name, held)),
            type_ok=tuple(allows_type(type_def, one, self._target) for one in types.ids),
            input_vertices=tuple(map(types.ids.index, types.inputs)),
            output_vertices=tuple(map(types.ids.index, types.outputs)),
            forceable=_can_be_forced(op.registered),
            quantized=not _QUANTIZED.isdisjoint(held),
            tunable=_is_tunable(node, op.registered, held, has_inputs=bool(types.inputs)),
            _all_types=_all_types(node, op.op_def, types),
        )


@dataclass(frozen=True)
class _Op:
    """An op's definition, and what its attributes hold; ``number`` counts ports."""

    op_def: op_def_pb2.OpDef
    registered: Optional[op_def_pb2.OpDef]
    kinds: dict[str, str]

    def key(self, node: node_def_pb2.NodeDef) -> tuple[object, ...]:
        """What tells a node of this op from one of another kind."""
        attributes = node.attr
        key: list[object] = [node.op]
        for name in attributes:
            kind = self.kinds.get(name)
            if kind == "type":
                key += (name, attributes[name].type)
            elif kind == "number":
                key += (name, attributes[name].i)
            elif kind == "list(type)":
                key += (name, *attributes[name].list.type)
            elif kind is None or "func" in kind:
                key += (name, attributes[name].WhichOneof("value"))
        return tuple(key)


@cache
def type_name(data_type: int) -> str:
    """TensorFlow's name of a type by its number: ``float32``; ``invalid`` for none."""
    if data_type == types_pb2.DT_INVALID:
        return "invalid"
    try:
        return str(tf.dtypes.as_dtype(data_type).name)
    except TypeError:  # a type that this TensorFlow has in its protocol but not in Python
        return f"type{data_type}"


def _all_types(
    node: node_def_pb2.NodeDef, op_def: op_def_pb2.OpDef, types: NodeTypes
) -> dict[str, tuple[int, ...]]:
    """The types of all of a node's type attributes, by name."""
    found: dict[str, tuple[int, ...]] = {}
    for attribute in {type_id.attribute for type_id in types.ids if type_id.attribute}:
        value = attribute_value(node, op_def, attribute)
        assert value is not None, "node_types has checked it"
        found[attribute] = tuple(value.list.type) if value.list.type else (value.type,)
    return found


def _can_be_forced(op_def: Optional[op_def_pb2.OpDef]) -> bool:
    """What level unsafe_force_all converts: no state, no references, a registered op."""
    if op_def is None or op_def.is_stateful:
        return False
    if op_def.name in ("Const", "SoftmaxCrossEntropyWithLogits"):
        return False
    return not any(argument.is_ref for argument in (*op_def.input_arg, *op_def.output_arg))


def _is_tunable(
    node: node_def_pb2.NodeDef,
    op_def: Optional[op_def_pb2.OpDef],
    held: Collection[int],
    *,
    has_inputs: bool,
) -> bool:
    if not has_inputs or not _can_be_forced(op_def) or node.op in _REINTERPRETING:
        return False
    if types_pb2.DT_RESOURCE in held:
        return False
    kinds = (value.WhichOneof("value") for value in node.attr.values())
    return "func" not in kinds
