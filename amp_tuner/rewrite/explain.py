"""What a setting does to a graph, and why every node is what it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

from amp_tuner.graph.typed_graph import Shapes
from amp_tuner.rewrite.cast_costs import CastCosts, PortCosts
from amp_tuner.rewrite.effective import effective_graph, mismatched_edges
from amp_tuner.rewrite.reason_words import in_short, in_words
from amp_tuner.rewrite.reasons import Reasons
from amp_tuner.rewrite.run_counts import constant_nodes

if TYPE_CHECKING:
    from amp_tuner.amp.lists import AmpLists
    from amp_tuner.records import EffectiveGraph
    from amp_tuner.rewrite.prepare import PreparedGraph

VERDICTS = {True: "16-bit", False: "FP32"}


class Decider(NamedTuple):
    """A node that decided on another.

    Attributes:
        node, op: the node.
        through: nodes on the shortest way between the two, by list.
    """

    node: str
    op: str
    through: dict[str, int]


@dataclass(frozen=True)
class Cause:
    """Why some type attributes of a node are what they are.

    Attributes:
        attributes: ``T``, ``T[2]``.
        colour: ``16-bit`` or ``FP32``.
        rule: a key of ``reason_words.RULES``.
        deciders: the nodes that decided; empty where the node itself is the reason.
        text: the same in words, without the colour.
    """

    attributes: tuple[str, ...]
    colour: str
    rule: str
    deciders: tuple[Decider, ...]
    text: str


@dataclass(frozen=True)
class NodeExplanation:
    """One node.

    Attributes:
        name, op: the node.
        list: the list of its op type, or its own: ``allow``, ``infer``, ``clear``, ``deny``,
            ``none``.
        colour: ``16-bit``, ``float32``, ``mixed`` (some type attributes of each), or ``other``
            where nothing in it is float32.
        attributes_16bit: its 16-bit type attributes: ``T``, ``T[2]``.
        causes: of each float32 type attribute; equal ones are one.
        reason: the causes in words: ``FP32: no BF16 kernel``.
    """

    name: str
    op: str
    list: str
    colour: str
    attributes_16bit: tuple[str, ...]
    causes: tuple[Cause, ...]
    reason: str


@dataclass(frozen=True)
class OpTypeSummary:
    """One op type.

    Attributes:
        op, list: the op type and its list.
        nodes: how many nodes have it.
        attributes: their float32 type attributes.
        attributes_16bit: those of them that become 16-bit.
        casts: Casts inserted on edges into and out of them; one between two op types counts for
            both.
    """

    op: str
    list: str
    nodes: int
    attributes: int
    attributes_16bit: int
    casts: CastCosts


@dataclass(frozen=True)
class Stayed:
    """An op type that could be 16-bit, but has nodes that are not.

    Nodes that TensorFlow computes once, from constants alone, do not count.

    Attributes:
        op: the op type.
        nodes: names of its nodes with a float32 type attribute that has a 16-bit kernel, but stays.
        of: how many of its nodes have such an attribute, whatever they become.
        reason: the commonest reason, without names.
        example: a node of that reason.
    """

    op: str
    nodes: tuple[str, ...]
    of: int
    reason: str
    example: str


@dataclass(frozen=True)
class Explanation:
    """What a setting does to a graph.

    Attributes:
        nodes: in graph order.
        op_types: by op type.
        stayed: op types that stayed FP32 though they could be 16-bit, by number of nodes.
        effective: the effective graph.
        casts: all inserted Casts.
        batch_size: for which their bytes are; None where the model fixes it, or shapes are unknown.
        shape_problem: why no shape is known; None where shapes were inferred.
        kernel_source: where it is known from which kernels exist.
        skipped: why the pass leaves the graph alone altogether, or None.
    """

    nodes: tuple[NodeExplanation, ...]
    op_types: tuple[OpTypeSummary, ...]
    stayed: tuple[Stayed, ...]
    effective: EffectiveGraph
    casts: CastCosts
    batch_size: Optional[int]
    shape_problem: Optional[str]
    kernel_source: str
    skipped: Optional[str]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def explain(prepared: PreparedGraph, lists: AmpLists, level: str = "default") -> Explanation:
    """Why every node of the graph gets its colour under ``lists``.

    Raises:
        RewriteError: the real pass fails on these lists.
    """
    return _Explainer(prepared, lists, level).explanation()


class _Explainer:
    """The making of one explanation."""

    def __init__(self, prepared: PreparedGraph, lists: AmpLists, level: str) -> None:
        self.prepared = prepared
        self.reasons = Reasons(prepared, lists, level)
        self.painted = self.reasons.painting.painted
        self.open_float32 = prepared.float32 & ~prepared.fixed
        self.costs = PortCosts.of(prepared)
        self.cast_edges = np.flatnonzero(mismatched_edges(prepared, self.reasons.painting))
        self.cast_ports = np.unique(prepared.edge_port[self.cast_edges])
        self.vertices_of: dict[int, list[int]] = defaultdict(list)
        for vertex in np.flatnonzero(self.open_float32).tolist():
            self.vertices_of[prepared.graph.vertices[vertex].node].append(vertex)

    def explanation(self) -> Explanation:
        graph = self.prepared.graph
        shapes = graph.shapes or Shapes(None, {}, "shapes were not asked for")
        return Explanation(
            nodes=tuple(self._node(index) for index in range(len(graph.nodes))),
            op_types=self._op_types(),
            stayed=self._stayed(),
            effective=effective_graph(self.prepared, self.reasons.painting),
            casts=self.costs.total(self.cast_ports),
            batch_size=shapes.batch_size,
            shape_problem=shapes.problem,
            kernel_source=graph.kernel_source,
            skipped=graph.skipped,
        )

    def _node(self, index: int) -> NodeExplanation:
        node = self.prepared.graph.nodes[index]
        causes = self._causes(index)
        colours = {cause.colour for cause in causes}
        colour = {"16-bit": "16-bit", "FP32": "float32"}.get(min(colours, default=""), "other")
        in_16bit = [vertex for vertex in self.vertices_of[index] if self.painted[vertex]]
        return NodeExplanation(
            name=node.name,
            op=node.op,
            list=self.reasons.place_of(index),
            colour="mixed" if len(colours) > 1 else colour,
            attributes_16bit=tuple(map(self._attribute, in_16bit)),
            causes=causes,
            reason=_joined(causes),
        )

    def _causes(self, index: int) -> tuple[Cause, ...]:
        """Of each float32 vertex of a node; those with the same words are one."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for vertex in self.vertices_of[index]:
            text = in_words(self.prepared, self.reasons.of(vertex), self.reasons.places[vertex])
            found[VERDICTS[bool(self.painted[vertex])], text].append(vertex)
        return tuple(
            self._cause(colour, text, vertices) for (colour, text), vertices in found.items()
        )

    def _cause(self, colour: str, text: str, vertices: list[int]) -> Cause:
        graph = self.prepared.graph
        reason = self.reasons.of(vertices[0])
        deciders = []
        for way in reason.ways:
            node = graph.nodes[graph.vertices[way.vertex].node]
            passed = {"clear": way.clear, "infer": way.infer, "other": way.other}
            through = {place: count for place, count in passed.items() if count}
            deciders.append(Decider(node.name, node.op, through))
        names = tuple(map(self._attribute, vertices))
        return Cause(names, colour, reason.rule, tuple(deciders), text)

    def _attribute(self, vertex: int) -> str:
        return self.prepared.graph.attribute_name(vertex)

    def _op_types(self) -> tuple[OpTypeSummary, ...]:
        prepared = self.prepared
        nodes = Counter(node.op for node in prepared.graph.nodes)
        size = len(prepared.op_types)
        attributes = np.bincount(prepared.op_of[self.open_float32], minlength=size)
        in_16bit = np.bincount(prepared.op_of[self.painted], minlength=size)
        ports: dict[int, set[int]] = defaultdict(set)
        for edge in self.cast_edges:
            for end in (prepared.edge_source[edge], prepared.edge_target[edge]):
                ports[int(prepared.op_of[end])].add(int(prepared.edge_port[edge]))
        return tuple(
            OpTypeSummary(
                op=op,
                list=self.reasons.list_of(op),
                nodes=nodes[op],
                attributes=int(attributes[index]),
                attributes_16bit=int(in_16bit[index]),
                casts=self.costs.total(ports[index]),
            )
            for index, op in enumerate(prepared.op_types)
        )

    def _stayed(self) -> tuple[Stayed, ...]:
        graph = self.prepared.graph
        constant = constant_nodes(graph)
        able: dict[str, set[int]] = defaultdict(set)
        left: dict[str, dict[int, int]] = defaultdict(dict)
        for vertex in np.flatnonzero(self.prepared.candidate & ~self.prepared.fixed).tolist():
            index = graph.vertices[vertex].node
            node = graph.nodes[index]
            if not node.tunable or index in constant:
                continue
            able[node.op].add(index)
            if not self.painted[vertex]:
                left[node.op].setdefault(index, vertex)
        found = [self._one_stayed(op, left[op], len(able[op])) for op in left]
        return tuple(sorted(found, key=lambda one: (-len(one.nodes), one.op)))

    def _one_stayed(self, op: str, left: dict[int, int], able: int) -> Stayed:
        shorts = {
            index: in_short(self.prepared, self.reasons.of(vertex))
            for index, vertex in left.items()
        }
        commonest = Counter(shorts.values()).most_common(1)[0][0]
        example = next(index for index, short in shorts.items() if short == commonest)
        names = {index: self.prepared.graph.nodes[index].name for index in left}
        return Stayed(op, tuple(names.values()), able, commonest, names[example])


def _joined(causes: tuple[Cause, ...]) -> str:
    if not causes:
        return "nothing in it is float32"
    if len(causes) == 1:
        return f"{causes[0].colour}: {causes[0].text}"
    return "; ".join(
        f"{cause.colour} {', '.join(cause.attributes)}: {cause.text}" for cause in causes
    )
