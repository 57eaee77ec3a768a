"""One HTML page that draws a painted graph; it needs no network."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amp_tuner.amp.lists import AmpLists
from amp_tuner.report.drawing import DOT, draw
from amp_tuner.report.inline import json_in_html, policy
from amp_tuner.rewrite.effective import mismatched_edges
from amp_tuner.rewrite.run_counts import constant_nodes

if TYPE_CHECKING:
    from amp_tuner.rewrite.explain import Explanation
    from amp_tuner.rewrite.paint import Painting
    from amp_tuner.rewrite.prepare import PreparedGraph

_FOLDER = Path(__file__).parent
_COLOURS = {"16-bit": "half", "float32": "full", "mixed": "mixed", "other": "other"}
# Kinds of edges, from least to most worth drawing where several join two nodes.
_OTHER, _FLOAT32, _HALF, _TO_HALF, _TO_FLOAT32 = range(5)
_LETTER = 7.4
_SMALL_LETTER = 5.8
_LONGEST_LABEL = 22


def graph_page(
    title: str,
    summary: Sequence[str],
    prepared: PreparedGraph,
    painting: Painting,
    lists: AmpLists,
    explanation: Explanation,
) -> str:
    """The page as text.

    Args:
        title: of the page.
        summary: lines below the title.
        prepared: the graph.
        painting: its colours, for the Casts.
        lists: the four lists that it was painted with.
        explanation: the reasons.
    """
    data = page_data(summary, prepared, painting, lists, explanation)
    parts = {
        "TITLE": html.escape(title),
        "STYLE": (_FOLDER / "inspect.css").read_text(encoding="utf-8"),
        "SCRIPT": (_FOLDER / "inspect.js").read_text(encoding="utf-8"),
        "DATA": json_in_html(data),
    }
    parts["POLICY"] = policy(parts["STYLE"], [parts["SCRIPT"]])
    template = (_FOLDER / "inspect.html").read_text(encoding="utf-8")
    # In one go: what is put in is not searched again.
    return re.sub(r"@@([A-Z]+)@@", lambda match: parts[match[1]], template)


def page_data(
    summary: Sequence[str],
    prepared: PreparedGraph,
    painting: Painting,
    lists: AmpLists,
    explanation: Explanation,
) -> dict[str, Any]:
    """What the page's script reads."""
    graph = prepared.graph
    constants = constant_nodes(graph)
    kinds = _edge_kinds(prepared, painting)
    widths = [
        DOT if index in constants else _label_width(node.op, node.name)
        for index, node in enumerate(graph.nodes)
    ]
    drawing = draw(widths, list(kinds), constants)
    position = {node.name: index for index, node in enumerate(graph.nodes)}
    stayed = {name for one in explanation.stayed for name in one.nodes}
    return {
        "summary": list(summary),
        "width": round(drawing.width),
        "height": round(drawing.height),
        "nodes": {
            **_words(explanation, position),
            "x": [round(x) for x, _ in drawing.centres],
            "y": [round(y) for _, y in drawing.centres],
            "w": [round(width) for width in widths],
            "constant": [int(index in constants) for index in range(len(graph.nodes))],
            "stayed": [int(node.name in stayed) for node in graph.nodes],
            "shape": _shapes(prepared),
        },
        "edges": [
            [source, target, kind, [round(number) for point in route for number in point]]
            for ((source, target), kind), route in zip(kinds.items(), drawing.routes)
        ],
        "stayed": _stayed(explanation, position),
        "op_types": _op_types(explanation),
        # Each node tells the list of its own, where it has one.
        "lists": replace(lists, nodes={}).to_json(),
    }


def _edge_kinds(prepared: PreparedGraph, painting: Painting) -> dict[tuple[int, int], int]:
    """Pairs of nodes, and the most telling of what flows between them."""
    vertices = prepared.graph.vertices
    cast = mismatched_edges(prepared, painting)
    found: dict[tuple[int, int], int] = {}
    for index, edge in enumerate(prepared.graph.edges):
        painted = bool(painting.painted[edge.source])
        kind = _OTHER
        if prepared.float32[edge.source]:
            kind = _HALF if painted else _FLOAT32
        if cast[index]:
            kind = _TO_FLOAT32 if painted else _TO_HALF
        pair = vertices[edge.source].node, vertices[edge.target].node
        found[pair] = max(kind, found.get(pair, _OTHER))
    return found


def _label_width(op: str, name: str) -> float:
    """Room for the op type and the end of the name."""
    shown = min(len("/".join(name.split("/")[-2:])), _LONGEST_LABEL)
    return max(len(op) * _LETTER, shown * _SMALL_LETTER) + 16


def _words(explanation: Explanation, position: Mapping[str, int]) -> dict[str, list[Any]]:
    """Of each node: name, op type, list, colour, reason, and who decided."""
    nodes = explanation.nodes
    return {
        "name": [node.name for node in nodes],
        "op": [node.op for node in nodes],
        "place": [node.list for node in nodes],
        "colour": [_COLOURS[node.colour] for node in nodes],
        "reason": [node.reason for node in nodes],
        "deciders": [
            sorted({position[one.node] for cause in node.causes for one in cause.deciders})
            for node in nodes
        ],
    }


def _shapes(prepared: PreparedGraph) -> list[str]:
    """Of each node the shapes of what it gives, where known."""
    found: list[list[str]] = [[] for _ in prepared.graph.nodes]
    shapes = prepared.graph.shapes
    for (node, _), shape in sorted(shapes.of_ports.items()) if shapes is not None else ():
        found[node].append(f"[{', '.join(map(str, shape))}]")
    return [", ".join(one) for one in found]


def _stayed(explanation: Explanation, position: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "op": one.op,
            "text": f"{one.op}: {len(one.nodes)} of {one.of}, {one.reason}",
            "nodes": [position[name] for name in one.nodes],
        }
        for one in explanation.stayed
    ]


def _op_types(explanation: Explanation) -> list[dict[str, Any]]:
    ordered = sorted(explanation.op_types, key=lambda one: (-one.attributes_16bit, one.op))
    return [
        {
            "op": one.op,
            "list": one.list,
            "nodes": one.nodes,
            "attributes": one.attributes,
            "half": one.attributes_16bit,
            "casts": one.casts.count,
            "bytes": one.casts.bytes_per_run,
            "hidden": one.casts.unknown + one.casts.looping,
        }
        for one in ordered
    ]
