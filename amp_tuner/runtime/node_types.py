"""The type attributes of a node, and which port takes its type from which.

Follows the real passes' map between ports and attributes (``NodeTypeAttrMap`` in both).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tensorflow.core.framework import (
    attr_value_pb2,
    graph_pb2,
    node_def_pb2,
    op_def_pb2,
    types_pb2,
)
from tensorflow.python.framework import op_def_registry

from amp_tuner.errors import RewriteError

#: More ports of one argument are a broken file, not a graph.
_MOST_PORTS = 2**16
_INVALID = int(types_pb2.DT_INVALID)


class TypeId(NamedTuple):
    """A type attribute, an element of a list attribute, or a type that the op fixes.

    Attributes:
        attribute: its name; empty for a fixed type.
        element: position in a list attribute; -1 for a single type.
        fixed: the fixed type's number; 0 (DT_INVALID) otherwise.
    """

    attribute: str
    element: int = -1
    fixed: int = _INVALID


@dataclass(frozen=True)
class NodeTypes:
    """A node's ports and type attributes.

    Attributes:
        inputs, outputs: the type of each data port.
        ids: all of the node's, ports first, each once.
    """

    inputs: tuple[TypeId, ...]
    outputs: tuple[TypeId, ...]
    ids: tuple[TypeId, ...]


@dataclass(frozen=True)
class OpDefs:
    """Op definitions by op type: those registered with TensorFlow, and a graph's functions."""

    functions: dict[str, op_def_pb2.OpDef]

    @classmethod
    def of(cls, graph_def: graph_pb2.GraphDef) -> OpDefs:
        """The definitions that nodes of ``graph_def`` may use."""
        library = graph_def.library.function
        return cls({function.signature.name: function.signature for function in library})

    def find(self, op: str) -> Optional[op_def_pb2.OpDef]:
        """The definition of ``op``, or None."""
        return registered(op) or self.functions.get(op)


def registered(op: str) -> Optional[op_def_pb2.OpDef]:
    """The definition registered with TensorFlow, or None."""
    return op_def_registry.get(op)


def attribute_value(
    node: node_def_pb2.NodeDef, op_def: op_def_pb2.OpDef, name: str
) -> Optional[attr_value_pb2.AttrValue]:
    """A node's attribute, or its default where the node leaves it out; None if it has neither."""
    if name in node.attr:
        return node.attr[name]
    for attribute in op_def.attr:
        if attribute.name == name and attribute.HasField("default_value"):
            return attribute.default_value
    return None


def type_of(node: node_def_pb2.NodeDef, op_def: op_def_pb2.OpDef, type_id: TypeId) -> int:
    """The number of a type attribute's type; DT_INVALID where there is none."""
    if not type_id.attribute:
        return type_id.fixed
    value = attribute_value(node, op_def, type_id.attribute)
    if value is None:
        return _INVALID
    if type_id.element < 0:
        return int(value.type)
    types = value.list.type
    return int(types[type_id.element]) if type_id.element < len(types) else _INVALID


def node_types(
    node: node_def_pb2.NodeDef,
    op_def: op_def_pb2.OpDef,
    tolerated: frozenset[tuple[str, str]] = frozenset(),
) -> NodeTypes:
    """A node's ports and type attributes.

    Args:
        node: the node.
        op_def: its op's definition.
        tolerated: (op type, attribute) pairs that may be there though the op has none.

    Raises:
        RewriteError: an attribute is missing, or one is there that the op does not have.
    """
    inputs = _ports(node, op_def, op_def.input_arg)
    outputs = _ports(node, op_def, op_def.output_arg)
    unused = _attributes(node, op_def, tolerated)
    return NodeTypes(inputs, outputs, tuple(dict.fromkeys((*inputs, *outputs, *unused))))


def _ports(
    node: node_def_pb2.NodeDef,
    op_def: op_def_pb2.OpDef,
    arguments: Iterable[op_def_pb2.OpDef.ArgDef],
) -> tuple[TypeId, ...]:
    ports: list[TypeId] = []
    for argument in arguments:
        name = argument.type_list_attr or argument.type_attr
        value = attribute_value(node, op_def, name) if name else None
        if name and value is None:
            raise RewriteError(f"{node.name} ({node.op}) lacks its type attribute {name}")
        if argument.type_list_attr and value is not None:
            ports += [TypeId(name, element) for element in range(len(value.list.type))]
            continue
        count = attribute_value(node, op_def, argument.number_attr)
        repeats = count.i if argument.number_attr and count is not None else 1
        if not 0 <= repeats <= _MOST_PORTS:
            raise RewriteError(
                f"{node.name} ({node.op}): {argument.number_attr} is {repeats}; allowed: 0 to "
                f"{_MOST_PORTS}"
            )
        ports += [TypeId(name) if name else TypeId("", -1, argument.type)] * repeats
    return tuple(ports)


def _attributes(
    node: node_def_pb2.NodeDef, op_def: op_def_pb2.OpDef, tolerated: frozenset[tuple[str, str]]
) -> list[TypeId]:
    """Every type attribute of the node, also those that belong to no port."""
    kinds = {attribute.name: attribute.type for attribute in op_def.attr}
    found: list[TypeId] = []
    for name in sorted({*node.attr, *_with_default(op_def)}):
        if name.startswith("_") or (node.op, name) in tolerated:
            continue
        if name not in kinds:
            raise RewriteError(f"{node.name}: {node.op} has no attribute {name}")
        if kinds[name] == "type":
            found.append(TypeId(name))
        elif kinds[name] == "list(type)":
            value = attribute_value(node, op_def, name)
            types = value.list.type if value is not None else ()
            found += [TypeId(name, element) for element in range(len(types))]
    return found


def _with_default(op_def: op_def_pb2.OpDef) -> list[str]:
    return [attribute.name for attribute in op_def.attr if attribute.HasField("default_value")]


def allows_type(op_def: Optional[op_def_pb2.OpDef], type_id: TypeId, data_type: int) -> bool:
    """Whether the op allows a type there; a fixed type allows itself only."""
    if op_def is None:
        return False
    if not type_id.attribute:
        return type_id.fixed == data_type
    for attribute in op_def.attr:
        if attribute.name == type_id.attribute:
            allowed = attribute.allowed_values.list.type
            return not allowed or data_type in allowed
    return False
