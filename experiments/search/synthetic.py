"""A device that is not there: times and errors of a painting, made up, but of real graphs.

Time is a sum over nodes, casts and what fusion saves:

* a node takes a launch, and the larger of its arithmetic and its memory traffic; 16 bits change
  that by a factor of its op type and data type, and by one of its own;
* a Cast takes a launch and its traffic;
* an elementwise node that alone reads a node of its own colour is fused with it.

The logarithm of such a sum is no sum. Errors follow one of two laws: squares add up over nodes
(``squares``), or logarithms over op types (``logarithms``), by the share of their nodes. Some op
types are far worse than others. In some problems an op type crashes in one data type.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from problems import Problem, Truth, planner_of, problem_of

from amp_tuner.rewrite.cast_costs import PortCosts
from amp_tuner.rewrite.effective import mismatched_edges
from amp_tuner.rewrite.paint import Painting
from amp_tuner.rewrite.prepare import PreparedGraph
from amp_tuner.rewrite.run_counts import constant_nodes

Array = NDArray[np.float64]

_PRODUCTS = ("BatchMatMul", "Conv", "Einsum", "MatMul")
_ELEMENTWISE = (
    *("Add", "AddV2", "BiasAdd", "FusedBatchNormV3", "Mul", "RealDiv", "Relu", "Relu6", "Sub"),
    *("Elu", "Erf", "Exp", "LeakyRelu", "Maximum", "Minimum", "Rsqrt", "Sigmoid", "Tanh"),
)
#: What is known to be dangerous in 16 bits.
_DANGEROUS = ("Exp", "FusedBatchNorm", "Mean", "Pow", "Rsqrt", "Softmax", "Square", "Sum", "Cumsum")


@dataclass(frozen=True)
class Device:
    """A kind of device.

    Attributes:
        launch_s: of each node.
        operations_per_s, bytes_per_s: FP32 peaks.
        product: by data type, the factor of products of matrices, as (mean, spread) of its
            logarithm.
        other: of everything else.
    """

    launch_s: float
    operations_per_s: float
    bytes_per_s: float
    product: Mapping[str, tuple[float, float]]
    other: Mapping[str, tuple[float, float]]


DEVICES = {
    # 16-bit units for both types, and every other op gains from less traffic.
    "matrix-units": Device(
        4e-6,
        2e13,
        6e11,
        {"bfloat16": (-1.1, 0.2), "float16": (-1.1, 0.2)},
        {"bfloat16": (-0.4, 0.35), "float16": (-0.45, 0.35)},
    ),
    # Units for float16 only, as older GPUs have them; bfloat16 is converted for each product.
    "float16-units": Device(
        4e-6,
        8e12,
        3e11,
        {"bfloat16": (0.3, 0.3), "float16": (-1.0, 0.2)},
        {"bfloat16": (-0.3, 0.35), "float16": (-0.45, 0.35)},
    ),
    # Units for bfloat16 only; float16 is emulated, and many kernels are poor.
    "bfloat16-units": Device(
        1e-6,
        1.5e12,
        1e11,
        {"bfloat16": (-0.8, 0.25), "float16": (0.2, 0.3)},
        {"bfloat16": (-0.15, 0.5), "float16": (-0.2, 0.5)},
    ),
    # No units: only memory traffic can be saved.
    "no-units": Device(
        1e-6,
        4e11,
        4e10,
        {"bfloat16": (0.0, 0.2), "float16": (0.05, 0.3)},
        {"bfloat16": (-0.4, 0.6), "float16": (-0.6, 0.5)},
    ),
}


class _Graph:
    """What is fixed about one data type's graph."""

    def __init__(self, prepared: PreparedGraph, device: Device) -> None:
        graph = prepared.graph
        self.prepared = prepared
        self.ports = PortCosts.of(prepared)
        known = np.maximum(self.ports.elements, 0).astype(np.float64)
        first = np.unique(prepared.edge_port, return_index=True)[1]
        port_node = np.array([graph.vertices[graph.edges[e].source].node for e in first])
        self.port_elements = known
        size = len(graph.nodes)
        self.elements = np.zeros(size)
        np.maximum.at(self.elements, port_node, known)
        constant = constant_nodes(graph)
        main = np.full(size, -1)
        for vertex in range(len(graph.vertices) - 1, -1, -1):
            if graph.vertices[vertex].dtype == "float32":
                main[graph.vertices[vertex].node] = vertex
        runs = np.array([node not in constant for node in range(size)]) & (main >= 0)
        self.nodes = np.flatnonzero(runs)
        self.main = main[self.nodes]
        self.ops = [graph.nodes[node].op for node in self.nodes]
        self.op_types = sorted(set(self.ops))
        self.op_of = np.array([self.op_types.index(op) for op in self.ops])
        self.seconds = self._float32_s(device)
        self.fused_with = self._fusible()

    def _float32_s(self, device: Device) -> Array:
        """Seconds of each node beyond its launch."""
        graph, shapes = self.prepared.graph, self.prepared.graph.shapes
        of_ports = {} if shapes is None else shapes.of_ports
        inputs: dict[int, list[tuple[int, ...]]] = {}
        for edge in graph.edges:
            source = graph.vertices[edge.source].node
            shape = of_ports.get((source, edge.source_port))
            if shape is not None:
                inputs.setdefault(graph.vertices[edge.target].node, []).append(shape)
        seconds = []
        for node, op in zip(self.nodes.tolist(), self.ops, strict=True):
            read = sum(math.prod(shape) for shape in inputs.get(node, []))
            result = self.elements[node] or 1.0
            traffic_s = 4 * (read + result) / device.bytes_per_s
            operations = 0.0
            if any(part in op for part in _PRODUCTS) and len(inputs.get(node, [])) > 1:
                weights = inputs[node][1]
                operations = 2 * result * math.prod(weights) / max(1, weights[-1])
            seconds.append(max(traffic_s, operations / device.operations_per_s))
        return np.array(seconds)

    def _fusible(self) -> NDArray[np.int64]:
        """Of each running node the one that it may be fused with, by place; -1 for none."""
        graph = self.prepared.graph
        readers: dict[int, set[int]] = {}
        for edge in graph.edges:
            source = graph.vertices[edge.source].node
            readers.setdefault(source, set()).add(graph.vertices[edge.target].node)
        place = {node: number for number, node in enumerate(self.nodes.tolist())}
        found = np.full(len(self.nodes), -1)
        for source, reading in readers.items():
            if len(reading) == 1 and source in place:
                (reader,) = reading
                if reader in place and graph.nodes[reader].op in _ELEMENTWISE:
                    found[place[reader]] = place[source]
        return found


class SyntheticCost:
    """One made-up device and one made-up sensitivity of a model; see the module.

    Args:
        prepared: each data type's graph.
        device: times.
        law: ``squares`` or ``logarithms``.
        seed: of all factors.
    """

    def __init__(
        self, prepared: Mapping[str, PreparedGraph], device: Device, law: str, seed: int
    ) -> None:
        self._device = device
        self._law = law
        random = np.random.default_rng(seed)
        self._graphs = {name: _Graph(graph, device) for name, graph in prepared.items()}
        op_types = sorted({op for graph in self._graphs.values() for op in graph.op_types})
        badness = {
            op: float(random.normal(1.2 if _is(op, _DANGEROUS) else 0.0, 0.9)) for op in op_types
        }
        self._factor, self._error = {}, {}
        for name, graph in self._graphs.items():
            factors = {
                op: random.normal(*(device.product if _is(op, _PRODUCTS) else device.other)[name])
                for op in op_types
            }
            of_nodes = np.array([factors[op] for op in graph.ops])
            own = random.normal(0, 0.15, len(graph.ops))
            self._factor[name] = np.exp(of_nodes + own)
            type_noise = {op: random.normal(0, 0.2) for op in op_types}
            of_ops = np.array([badness[op] + type_noise[op] for op in graph.ops])
            shift = math.log(3) if name == "float16" else 0.0
            self._error[name] = of_ops + random.normal(0, 0.5, len(graph.ops)) - shift
        crashing = [op for op in op_types if not _is(op, _PRODUCTS)]
        self._crashes = (
            (str(random.choice(crashing)), str(random.choice(sorted(prepared))))
            if random.random() < 0.4
            else None
        )
        self._float32_s = {
            name: self._seconds(name, np.zeros(len(graph.nodes), np.bool_), np.zeros(0, np.int64))
            for name, graph in self._graphs.items()
        }

    def __call__(self, data_type: str, prepared: PreparedGraph, painting: Painting) -> Truth:
        """The truth about one painting."""
        graph = self._graphs[data_type]
        painted = painting.painted[graph.main]
        ports = np.unique(prepared.edge_port[mismatched_edges(prepared, painting)])
        ports = ports[~graph.ports.constant[ports]]
        seconds = self._seconds(data_type, painted, ports)
        log_speedup = math.log(self._float32_s[data_type] / seconds)
        op_types = {graph.ops[place] for place in np.flatnonzero(painted)}
        crashes = self._crashes is not None and (
            self._crashes[0] in op_types and self._crashes[1] == data_type
        )
        return Truth(log_speedup, self._drop(data_type, painted), crashes)

    def _seconds(self, name: str, painted: NDArray[np.bool_], ports: NDArray[np.int64]) -> float:
        graph, device = self._graphs[name], self._device
        own = graph.seconds * np.where(painted, self._factor[name], 1.0) + device.launch_s
        source = graph.fused_with
        fused = (source >= 0) & (painted == painted[np.maximum(source, 0)])
        casts = 6 * graph.port_elements[ports] / device.bytes_per_s + device.launch_s
        return float(np.where(fused, 0.2 * own, own).sum() + casts.sum())

    def _drop(self, name: str, painted: NDArray[np.bool_]) -> float:
        graph, error = self._graphs[name], self._error[name]
        if not painted.any():
            return 0.0
        if self._law == "squares":
            return float(np.sqrt(np.exp(2 * error[painted]).sum()))
        counts = np.bincount(graph.op_of, minlength=len(graph.op_types))
        shares = np.bincount(graph.op_of, painted, minlength=len(graph.op_types)) / counts
        mean = np.bincount(graph.op_of, error, minlength=len(graph.op_types)) / counts
        return float(np.exp((np.logaddexp(0, mean) * np.sqrt(shares)).sum() / 3))


def _is(op: str, kinds: tuple[str, ...]) -> bool:
    return any(kind in op for kind in kinds)


_CPU = ("tf-cpu-bfloat16", "tf-cpu-float16")
_GPU = ("itex-gpu-bfloat16", "tf-cuda-float16")
#: Devices whose passes are a GPU's.
_GPUS = ("matrix-units", "float16-units")
#: Name to (model, rules, device, law of errors, how strict the goal is).
PROBLEMS: dict[str, tuple[str, tuple[str, ...], str, str, float]] = {
    f"{model}, {device}": (model, _GPU if device in _GPUS else _CPU, device, law, strict)
    for model, device, law, strict in (
        ("ResNet50", "matrix-units", "squares", 0.5),
        ("DenseNet121", "bfloat16-units", "logarithms", 0.7),
        ("EfficientNetB0", "bfloat16-units", "squares", 0.7),
        ("InceptionV3", "bfloat16-units", "squares", 0.5),
        ("MobileNetV2", "matrix-units", "logarithms", 0.7),
        ("MobileNetV3Small", "bfloat16-units", "squares", 0.5),
        ("ConvNeXtTiny", "matrix-units", "logarithms", 1.2),
        ("Xception", "matrix-units", "logarithms", 0.7),
        ("UNet", "bfloat16-units", "logarithms", 0.7),
        ("Transformer", "matrix-units", "squares", 0.5),
        ("MiniLM", "bfloat16-units", "squares", 0.7),
        ("BasicPitch", "no-units", "logarithms", 1.5),
        ("EfficientNetB0", "float16-units", "squares", 0.7),
    )
}


@cache
def synthetic(name: str) -> Problem:
    """The problem called ``name``; always the same."""
    model, rules, device, law, strictness = PROBLEMS[name]
    planner = planner_of(model, rules)
    prepared = {data_type: painter.graph for data_type, painter in planner.painters.items()}
    cost = SyntheticCost(prepared, DEVICES[device], law, zlib.crc32(name.encode()))
    return problem_of(name, planner, cost, strictness)
