"""Broken graphs: one fault each, and random ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2

from tests.rewrite import graphs

CHAIN = graphs.chain("MatMul", "Relu", "Tanh", "MatMul", source="x")


def broken(fault: str) -> graph_pb2.GraphDef:
    """A chain of products with one fault, at its node ``Tanh3`` or ``Relu2``."""
    graph_def = graph_pb2.GraphDef.FromString(CHAIN.SerializeToString())
    nodes = {node.name: node for node in graph_def.node}
    if fault == "unknown op":
        nodes["Tanh3"].op = "NoSuchOp"
    elif fault == "too many inputs":
        nodes["Tanh3"].input.append("x")
    elif fault == "too few inputs":
        del nodes["Tanh3"].input[:]
    elif fault == "missing attribute":
        del nodes["Tanh3"].attr["T"]
    elif fault == "dangling input":
        nodes["Tanh3"].input[0] = "nobody"
    elif fault == "dangling port":
        nodes["Tanh3"].input[0] = "Relu2:7"
    elif fault == "cycle":
        nodes["Relu2"].input[0] = "Tanh3"
    elif fault == "itself":
        nodes["Tanh3"].input[0] = "Tanh3"
    elif fault == "duplicate name":
        graph_def.node.add().CopyFrom(nodes["Tanh3"])
    return graph_def


@st.composite
def mutated_graphs(draw) -> graph_pb2.GraphDef:
    """A real graph with a few random changes to its nodes."""
    made = draw(st.sampled_from(SOURCES))
    graph_def = graph_pb2.GraphDef.FromString(made.SerializeToString())
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(1, 4))):
        mutate(graph_def, chance)
    return graph_def


SOURCES = (
    CHAIN,
    graphs.conv_net(),
    graphs.while_loop(),
    graphs.lists_of_types(),
    *(graphs.tensor_lists(kind) for kind in graphs.LIST_KINDS),
)


def mutate(graph_def: graph_pb2.GraphDef, chance: np.random.Generator) -> None:
    """One random change to a node, in place."""
    nodes = graph_def.node
    node, other = (nodes[int(chance.integers(len(nodes)))] for _ in range(2))
    if node.attr and chance.random() < 0.6:
        _mutate_attribute(node, other, chance)
        return
    kind = int(chance.integers(4))
    if kind == 0:
        node.op = other.op
    elif kind == 1 and node.input:
        port = int(chance.integers(0, 5))
        source = str(chance.choice([other.name, f"{other.name}:{port}", f"^{other.name}", ":", ""]))
        node.input[int(chance.integers(len(node.input)))] = source
    elif kind == 2:
        node.name = other.name
    else:
        nodes.add().CopyFrom(other)


def _mutate_attribute(
    node: node_def_pb2.NodeDef, other: node_def_pb2.NodeDef, chance: np.random.Generator
) -> None:
    name = str(chance.choice(sorted(node.attr)))
    kind = int(chance.integers(6))
    if kind == 0:
        del node.attr[name]
    elif kind == 1:
        node.attr[name].type = int(chance.integers(0, 130))
    elif kind == 2:
        node.attr[name].list.type.extend([1, 19])
    elif kind == 3:
        node.attr[name].i = int(chance.integers(-(2**40), 2**40))
    elif kind == 4:
        _resize(node.attr[name], chance)
    else:
        place = f"{name}x" if chance.random() < 0.5 else name
        node.attr[place].CopyFrom(_any_value(other, chance))


def _resize(value: attr_value_pb2.AttrValue, chance: np.random.Generator) -> None:
    """Makes one dimension of a shape, or of a tensor that keeps its content, any number."""
    shape = value.tensor.tensor_shape if value.HasField("tensor") else value.shape
    if not shape.dim or chance.random() < 0.3:
        shape.dim.add()
    size = int(chance.choice([-2, -1, 0, 1, 3, 2**20, 2**31, 2**40, 2**62]))
    shape.dim[int(chance.integers(len(shape.dim)))].size = size


def _any_value(node: node_def_pb2.NodeDef, chance: np.random.Generator) -> attr_value_pb2.AttrValue:
    names = sorted(node.attr)
    return node.attr[str(chance.choice(names))] if names else attr_value_pb2.AttrValue(s=b"\xff")
