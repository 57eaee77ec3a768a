"""Which nodes a runtime runs as one kernel: what its graph optimiser fuses, and no more.

A *chain* begins with a node and goes on through readers that are the only reader of the tensor
before them. It is one kernel if no Cast stands in it. Element-wise chains as XLA fuses them are not
assumed, and Casts are kernels of their own but where a style says otherwise.

Sources: TensorFlow's ``grappler/optimizers/remapper.cc`` (on CPUs with oneDNN contraction with
bias, batch norm, sum, activation, and batch norm with Relu; on CUDA convolution with bias and Relu
for spatial filters in float32 alone, and batch norm with sum and Relu: ``_FusedBatchNormEx``) and
``constant_folding.cc`` (a multiplication by a constant is pushed into a convolution's weights);
Intel Extension for TensorFlow's ``remapper.cc`` (as on CPUs, and a Cast to float32 behind a
product: ``_ITEXFusedAccMatMul``). In which data types a CPU's are made follows from its
instructions: a profile says so. TensorFlow 1 runs convolutions on CUDA as NCHW, tensor cores work
on NHWC: NVIDIA's Convolutional Layers User's Guide of its time names XLA as the one way to NHWC
there; later versions choose the layout by data type.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from amp_tuner.roofline.work import CONTRACTIONS, CONVOLUTIONS, MATMULS, Kind, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amp_tuner.graph.typed_graph import TypedGraph

CONTRACTION, NORM, SCALE, BIAS, SUM, ACTIVATION = (
    "contraction",
    "norm",
    "scale",
    "bias",
    "sum",
    "activation",
)
_NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
_ADDS = frozenset(("Add", "AddV2", "Sub"))
_ACTIVATIONS = frozenset(
    ("Relu", "Relu6", "Elu", "LeakyRelu", "Tanh", "Sigmoid", "_FusedSwish", "_ITEXSwish")
)


@dataclass(frozen=True)
class Pattern:
    """One kind of chain.

    Attributes:
        first: the role of its first node.
        then: roles of those behind it, each optional, in this order.
        closes: the chain must end with one of these roles; empty: it may end anywhere.
        data_types: those that it is fused in; empty: all.
        needs: roles that must be in it.
        spatial: convolutions with filters wider than 1, with Relu alone as their activation.
    """

    first: str
    then: tuple[str, ...]
    closes: frozenset[str] = frozenset()
    data_types: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    spatial: bool = False


@dataclass(frozen=True)
class Style:
    """What one runtime fuses.

    Attributes:
        patterns: kinds of chains.
        casts_behind: op types whose kernel writes float32 itself where a Cast would follow.
        transposes: convolutions on matrix units bring their input to another layout and their
            output back: the graph's layout is not the units'.
    """

    patterns: tuple[Pattern, ...]
    casts_behind: frozenset[str] = frozenset()
    transposes: bool = False


_ON_CPUS = (
    Pattern(CONTRACTION, (SCALE, BIAS, SUM, ACTIVATION)),
    Pattern(CONTRACTION, (NORM, SUM, ACTIVATION)),
    Pattern(NORM, (ACTIVATION,), closes=frozenset((ACTIVATION,))),
)
_ON_CUDA = (
    Pattern(CONTRACTION, (SCALE,)),
    Pattern(
        CONTRACTION,
        (SCALE, BIAS, ACTIVATION),
        closes=frozenset((ACTIVATION,)),
        data_types=frozenset(("float32",)),
        needs=frozenset((BIAS,)),
        spatial=True,
    ),
    Pattern(NORM, (SUM, ACTIVATION), closes=frozenset((ACTIVATION,))),
)
STYLES: Mapping[str, Style] = {
    "tensorflow-cpu": Style(_ON_CPUS),
    "tensorflow-cuda": Style(_ON_CUDA),
    "tensorflow-1-cuda": Style(_ON_CUDA, transposes=True),
    "itex-gpu": Style(_ON_CPUS, casts_behind=MATMULS),
}


class Chain(NamedTuple):
    """Nodes that may be one kernel.

    Attributes:
        nodes: in order.
        edges: between them, as indices into the graph's edges.
        data_types: those that it is fused in; empty: all.
    """

    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    data_types: frozenset[str]


def chains_of(
    graph: TypedGraph, style: Style, constant: Collection[int], work: Sequence[Work]
) -> list[Chain]:
    """Every chain of a graph, those with the most nodes first.

    Args:
        graph: the FP32 graph.
        style: the runtime's fusions.
        constant: nodes that follow from constants alone.
        work: of each node.
    """
    finder = _Finder(graph, constant, work)
    found = [
        chain
        for pattern in style.patterns
        for node in finder.nodes_of(pattern)
        for chain in finder.chains(pattern, node)
    ]
    return sorted(found, key=lambda chain: (-len(chain.nodes), chain.nodes))


class _Finder:
    """Follows chains through a graph."""

    def __init__(self, graph: TypedGraph, constant: Collection[int], work: Sequence[Work]) -> None:
        self._graph = graph
        self._work = work
        self._readers: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._with_constant = set()
        for index, edge in enumerate(graph.edges):
            source = graph.vertices[edge.source].node
            self._readers[source, edge.source_port].append(index)
            if source in constant:
                self._with_constant.add(graph.vertices[edge.target].node)

    def nodes_of(self, pattern: Pattern) -> Iterator[int]:
        """Where a chain may begin."""
        ops = CONTRACTIONS if pattern.first == CONTRACTION else _NORMS
        for index, node in enumerate(self._graph.nodes):
            if node.op not in ops or self._work[index].kind is Kind.FREE:
                continue
            if not pattern.spatial or (node.op in CONVOLUTIONS and self._work[index].spatial):
                yield index

    def chains(self, pattern: Pattern, first: int) -> Iterator[Chain]:
        """Each chain of a pattern from a node, from the shortest to the longest."""
        nodes, edges, roles = [first], [], {pattern.first}
        left = list(pattern.then)
        while left:
            edge = self._only_reader(nodes[-1])
            node = (
                None if edge is None else self._graph.vertices[self._graph.edges[edge].target].node
            )
            role = None if node is None else self._role(node, relu_only=bool(pattern.closes))
            if edge is None or node is None or role not in left:
                return
            left = left[left.index(role) + 1 :]
            nodes.append(node)
            edges.append(edge)
            roles.add(role)
            if (not pattern.closes or role in pattern.closes) and pattern.needs <= roles:
                yield Chain(tuple(nodes), tuple(edges), pattern.data_types)

    def _only_reader(self, node: int) -> int | None:
        """The edge to the one reader of a node's first output; None where there are more."""
        if self._graph.nodes[node].kept:
            return None
        readers = self._readers.get((node, 0), [])
        return readers[0] if len(readers) == 1 else None

    def _role(self, node: int, *, relu_only: bool) -> str | None:
        op = self._graph.nodes[node].op
        if op in _NORMS:
            return NORM
        if op == "Mul":
            return SCALE if node in self._with_constant else None
        if op == "BiasAdd" or (op in _ADDS and node in self._with_constant):
            return BIAS
        if op in _ADDS:
            return SUM
        if op in _ACTIVATIONS and (op == "Relu" or not relu_only):
            return ACTIVATION
        return None
