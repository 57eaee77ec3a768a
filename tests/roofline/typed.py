"""Typed graphs and runs of them by hand, and devices with round figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.traced_run import TracedNode, TracedRun
from amp_tuner.graph.typed_graph import Edge, TypedGraph, TypedNode, Vertex
from amp_tuner.rewrite.paint import Painting, paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.roofline.cost import CostModel, Price
from amp_tuner.roofline.device import DeviceProfile

RULES = rule_set("tf-cuda-float16")


@dataclass(frozen=True)
class Node:
    """A float32 node with one output; the one called ``out`` is fetched."""

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    runs: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)


def graph_of(nodes: Sequence[Node]) -> tuple[PreparedGraph, TracedRun]:
    """The graph under the CUDA pass, and its run."""
    index = {node.name: position for position, node in enumerate(nodes)}
    graph = TypedGraph(
        rules=RULES.identifier,
        kernel_source="by hand",
        skipped=None,
        nodes=tuple(
            TypedNode(
                name=node.name,
                op=node.op,
                processable=node.op not in ("Placeholder", "Const") and node.name != "out",
                forceable=True,
                reads_variable=False,
                quantized=False,
                boundary=node.op == "Placeholder",
                tunable=True,
                kept=node.op == "Placeholder" or node.name == "out",
            )
            for node in nodes
        ),
        vertices=tuple(
            Vertex(position, "T", -1, "float32", True, True) for position in range(len(nodes))
        ),
        edges=tuple(
            Edge(index[name], 0, position, port)
            for position, node in enumerate(nodes)
            for port, name in enumerate(node.inputs)
        ),
    )
    run = TracedRun(
        1, tuple(TracedNode(node.runs, (node.shape,), node.attributes) for node in nodes)
    )
    return prepare(graph, RULES), run


def device(**changes: Any) -> DeviceProfile:
    """One unit, 1e12 operations a second, 1e9 bytes a second, no cache to speak of, no overhead."""
    values: dict[str, Any] = {
        "name": "Imaginary 9000",
        "device": "gpu",
        "fusion": "tensorflow-cuda",
        "fused": ("float32", "float16"),
        "rates": {
            "matrix": {"float32": 1e12, "float16": 4e12},
            "vector": {"float32": 1e12, "float16": 1e12},
        },
        "matrix_efficiency": {"float32": 1.0, "float16": 1.0},
        "memory_bytes_per_s": 1e9,
        "cache_bytes_per_s": 1e9,
        "memory_efficiency": 1.0,
        "cache_bytes": 1.0,
        "launch_s": 1e-12,
        "dispatch_s": 0.0,
        "run_s": 0.0,
        "compute_units": 1.0,
        "tile": 1.0,
        "winograd": 1.0,
    }
    return DeviceProfile(**{**values, **changes})


def painted(prepared: PreparedGraph, **moves: str) -> Painting:
    """Under the default lists with moves."""
    return paint(prepared, RULES.lists.moved(moves))


def prices(nodes: Sequence[Node], profile: DeviceProfile, **options: Any) -> tuple[Price, Price]:
    """Of a graph in FP32 and under default AMP."""
    prepared, run = graph_of(nodes)
    model = CostModel(prepared, run, profile, **options)
    return model.float32_price(), model.price(painted(prepared))


def product(rows: int, depth: int, columns: int) -> list[Node]:
    """A MatMul of an input and weights."""
    return [
        Node("x", "Placeholder", (), (rows, depth)),
        Node("w", "Const", (), (depth, columns)),
        Node("product", "MatMul", ("x", "w"), (rows, columns)),
        Node("out", "Identity", ("product",), (rows, columns)),
    ]


def convolution(side: int, *behind: str) -> list[Node]:
    """A convolution with a filter of that side on 8 x 8 x 64 pictures, and ops behind it."""
    picture = (2, 8, 8, 64)
    nodes = [
        Node("x", "Placeholder", (), picture),
        Node("w", "Const", (), (side, side, 64, 64)),
        Node("b", "Const", (), (64,)),
        Node("Conv2D", "Conv2D", ("x", "w"), picture, 1, {"steps": [1] * 8}),
    ]
    for op in behind:
        more = {"BiasAdd": ("b",), "AddV2": ("x",), "Mul": ("b",)}.get(op, ())
        nodes.append(Node(op, op, (nodes[-1].name, *more), picture))
    return [*nodes, Node("out", "Identity", (nodes[-1].name,), picture)]
