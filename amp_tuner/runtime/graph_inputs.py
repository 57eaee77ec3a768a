"""Inputs of nodes, as a GraphDef writes them."""

from __future__ import annotations

from tensorflow.core.framework import graph_pb2, node_def_pb2


def split_tensor(name: str) -> tuple[str, int]:
    """Node and port of a data input: ``a:1`` gives ``("a", 1)``, ``a`` gives ``("a", 0)``."""
    node, colon, port = name.rpartition(":")
    return (node, int(port)) if colon and port.isdigit() else (name, 0)


def producer(name: str) -> str:
    """The node that an input comes from, data or control."""
    return name[1:] if name.startswith("^") else split_tensor(name)[0]


def drop_double_controls(graph_def: graph_pb2.GraphDef) -> None:
    """Drops control inputs that another input of the same node implies, in place.

    Grappler's graph view does so when a pass opens a graph. A control input on an Identity of a
    Switch stays beside a data input, since such an Identity may be dead where the Switch is not.
    """
    nodes = {node.name: node for node in graph_def.node}
    for node in graph_def.node:
        if any(name.startswith("^") for name in node.input):
            _drop_in(node, nodes)


def _drop_in(node: node_def_pb2.NodeDef, nodes: dict[str, node_def_pb2.NodeDef]) -> None:
    inputs = list(node.input)
    seen: set[str] = set()
    controls: set[str] = set()
    position, end = 0, len(inputs)
    while position < end:
        name = inputs[position]
        source = producer(name)
        is_control = name.startswith("^")
        droppable = is_control and (source in controls or not _reads_switch(source, nodes))
        if source in seen and droppable:
            end -= 1
            inputs[position], inputs[end] = inputs[end], inputs[position]
        else:
            position += 1
        seen.add(source)
        if is_control:
            controls.add(source)
    if end < len(inputs):
        del node.input[:]
        node.input.extend(inputs[:end])


def _reads_switch(name: str, nodes: dict[str, node_def_pb2.NodeDef]) -> bool:
    node = nodes.get(name)
    if node is None or node.op not in ("Identity", "IdentityN") or not node.input:
        return False
    if node.op == "IdentityN" and sum(not name.startswith("^") for name in node.input) != 1:
        return False
    if node.input[0].startswith("^"):
        return False
    source = nodes.get(producer(node.input[0]))
    return source is not None and source.op in ("Switch", "RefSwitch", "_SwitchN")
