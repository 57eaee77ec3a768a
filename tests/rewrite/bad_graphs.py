"""Broken graphs: one fault each, and random ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from tensorflow.core.framework import graph_pb2

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
    made = draw(st.sampled_from(_SOURCES))
    graph_def = graph_pb2.GraphDef.FromString(made.SerializeToString())
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(1, 4))):
        _mutate(graph_def, chance)
    return graph_def


_SOURCES = (
    CHAIN,
    graphs.conv_net(),
    graphs.while_loop(),
    graphs.lists_of_types(),
    *(graphs.tensor_lists(kind) for kind in graphs.LIST_KINDS),
)


def _mutate(graph_def: graph_pb2.GraphDef, chance: np.random.Generator) -> None:
    nodes = graph_def.node
    node, other = (nodes[int(chance.integers(len(nodes)))] for _ in range(2))
    attributes = sorted(node.attr)
    kind = int(chance.integers(8))
    if kind == 0 and attributes:
        del node.attr[str(chance.choice(attributes))]
    elif kind == 1 and attributes:
        node.attr[str(chance.choice(attributes))].type = int(chance.integers(0, 130))
    elif kind == 2 and attributes:
        node.attr[str(chance.choice(attributes))].list.type.extend([1, 19])
    elif kind == 3 and attributes:
        node.attr[str(chance.choice(attributes))].i = int(chance.integers(-(2**40), 2**40))
    elif kind == 4:
        node.op = other.op
    elif kind == 5 and node.input:
        port = int(chance.integers(0, 5))
        source = str(chance.choice([other.name, f"{other.name}:{port}", f"^{other.name}", ":", ""]))
        node.input[int(chance.integers(len(node.input)))] = source
    elif kind == 6:
        node.name = other.name
    elif kind == 7:
        nodes.add().CopyFrom(other)
