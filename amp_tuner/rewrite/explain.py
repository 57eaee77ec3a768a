"""Why every node is what it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from amp_tuner.amp.levels import effective_lists
from amp_tuner.rewrite import steps
from amp_tuner.rewrite.effective import effective_graph, mismatched_edges
from amp_tuner.rewrite.paint import Painting, paint

if TYPE_CHECKING:
    from amp_tuner.amp.lists import AmpLists
    from amp_tuner.records import EffectiveGraph
    from amp_tuner.rewrite.prepare import PreparedGraph

_ALLOWED_BY: Mapping[steps.Step, str] = {
    steps.allow_the_allow_list: "its op type is in ALLOW",
    steps.match_tensor_lists: "it shares a TensorList with an op in 16 bits",
    steps.allow_between: "it is between ALLOW ops",
    steps.infer_after_allow: "INFER with an input in 16 bits",
    steps.allow_through_clear: "CLEAR, connected to 16 bits through CLEAR",
    steps.match_loops: "all Merges that it feeds are in 16 bits",
    steps.absorb_casts: "all its consumers are in 16 bits",
}
_DENIED_BY: Mapping[steps.Step, str] = {
    steps.deny_escaping_tensor_lists: "its TensorList leaves what can be converted",
    steps.deny_forward: "downstream of DENY",
    steps.match_tensor_lists: "it shares a TensorList with a denied op",
}
_REMOVED_BY: Mapping[steps.Step, str] = {
    steps.match_tensor_lists: "it shares a TensorList with a denied op",
    steps.unallow_unfit: "in ALLOW, but it cannot be 16-bit",
    steps.match_loops: "another Merge or NextIteration of its loop is float32",
}


@dataclass(frozen=True)
class NodeExplanation:
    """One node.

    Attributes:
        name, op: the node.
        list: the list of its op type: ``allow``, ``infer``, ``clear``, ``deny`` or ``none``.
        colour: ``16-bit``, ``float32``, ``mixed`` (some type attributes of each), or ``other``
            where nothing in it is float32.
        attributes_16bit: its 16-bit type attributes: ``T``, ``T[2]``.
        reason: why, in words.
    """

    name: str
    op: str
    list: str
    colour: str
    attributes_16bit: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class OpTypeSummary:
    """One op type.

    Attributes:
        op, list: the op type and its list.
        nodes: how many nodes have it.
        attributes: their float32 type attributes.
        attributes_16bit: those of them that become 16-bit.
        casts: Casts inserted on edges into and out of them.
    """

    op: str
    list: str
    nodes: int
    attributes: int
    attributes_16bit: int
    casts: int


@dataclass(frozen=True)
class Explanation:
    """What a setting does to a graph.

    Attributes:
        nodes: in graph order.
        op_types: by op type.
        effective: the effective graph.
        kernel_source: where it is known from which kernels exist.
        skipped: why the pass leaves the graph alone altogether, or None.
    """

    nodes: tuple[NodeExplanation, ...]
    op_types: tuple[OpTypeSummary, ...]
    effective: EffectiveGraph
    kernel_source: str
    skipped: str | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def explain(prepared: PreparedGraph, lists: AmpLists, level: str = "default") -> Explanation:
    """Why every node of the graph gets its colour under ``lists``.

    Raises:
        RewriteError: the real pass fails on these lists.
    """
    painting = paint(prepared, lists, level)
    effective = effective_lists(prepared.rules, lists, level)
    return Explanation(
        nodes=_nodes(prepared, painting, effective),
        op_types=_op_types(prepared, painting, effective),
        effective=effective_graph(prepared, painting),
        kernel_source=prepared.graph.kernel_source,
        skipped=prepared.graph.skipped,
    )


def _nodes(
    prepared: PreparedGraph, painting: Painting, lists: AmpLists
) -> tuple[NodeExplanation, ...]:
    float32 = _float32_by_node(prepared)
    found = []
    for index, node in enumerate(prepared.graph.nodes):
        in_16bit = [vertex for vertex in float32[index] if painting.painted[vertex]]
        colour = "other"
        if float32[index]:
            colour = "mixed" if in_16bit else "float32"
            colour = "16-bit" if len(in_16bit) == len(float32[index]) else colour
        found.append(
            NodeExplanation(
                name=node.name,
                op=node.op,
                list=lists.list_of(node.op),
                colour=colour,
                attributes_16bit=tuple(
                    prepared.graph.vertex_name(vertex).rpartition(":")[2] for vertex in in_16bit
                ),
                reason=_reason(prepared, painting, lists, (in_16bit or float32[index])[:1]),
            )
        )
    return tuple(found)


def _float32_by_node(prepared: PreparedGraph) -> dict[int, list[int]]:
    """Node to its float32 vertices, types that the op fixes left out."""
    found: dict[int, list[int]] = defaultdict(list)
    for vertex in np.flatnonzero(prepared.float32 & ~prepared.fixed):
        found[prepared.graph.vertices[vertex].node].append(int(vertex))
    return found


def _reason(
    prepared: PreparedGraph, painting: Painting, lists: AmpLists, vertices: list[int]
) -> str:
    if not vertices:
        return "nothing in it is float32"
    vertex = vertices[0]
    if painting.painted[vertex]:
        return _ALLOWED_BY[steps.ORDER[painting.allow[vertex] - 1]]
    if prepared.graph.skipped is not None:
        return prepared.graph.skipped
    node = prepared.graph.nodes[prepared.graph.vertices[vertex].node]
    if not node.processable:
        return "an input or output of the model, or on another device"
    if vertex in painting.removed:
        return _REMOVED_BY[steps.ORDER[painting.removed[vertex] - 1]]
    if painting.deny[vertex]:
        in_deny = lists.list_of(node.op) == "deny"
        step = steps.ORDER[painting.deny[vertex] - 1]
        return "its op type is in DENY" if in_deny else _DENIED_BY[step]
    return _unpainted_reason(prepared, lists.list_of(node.op), vertex)


def _unpainted_reason(prepared: PreparedGraph, place: str, vertex: int) -> str:
    if place == "none":
        return "its op type is in no list"
    if not prepared.type_ok[vertex]:
        return f"the op does not allow {prepared.rules.data_type}"
    if not prepared.supports[vertex]:
        return f"no {prepared.rules.data_type} kernel"
    if place == "clear":
        return "CLEAR, not connected to 16 bits"
    return "INFER, neither between ALLOW ops nor right after 16 bits"


def _op_types(
    prepared: PreparedGraph, painting: Painting, lists: AmpLists
) -> tuple[OpTypeSummary, ...]:
    nodes: dict[str, int] = defaultdict(int)
    for node in prepared.graph.nodes:
        nodes[node.op] += 1
    open_float32 = prepared.float32 & ~prepared.fixed
    attributes = np.bincount(prepared.op_of[open_float32], minlength=len(prepared.op_types))
    in_16bit = np.bincount(prepared.op_of[painting.painted], minlength=len(prepared.op_types))
    casts: dict[int, set[int]] = defaultdict(set)
    for edge in np.flatnonzero(mismatched_edges(prepared, painting)):
        port = int(prepared.edge_port[edge])
        casts[prepared.op_of[prepared.edge_source[edge]]].add(port)
        casts[prepared.op_of[prepared.edge_target[edge]]].add(port)
    return tuple(
        OpTypeSummary(
            op=op,
            list=lists.list_of(op),
            nodes=nodes[op],
            attributes=int(attributes[index]),
            attributes_16bit=int(in_16bit[index]),
            casts=len(casts[index]),
        )
        for index, op in enumerate(prepared.op_types)
    )
