"""``graphs/``: each data type's graph as its pass sees it, for reports without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError
from amp_tuner.files import write_json
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import FORMAT, read_stored
from amp_tuner.rewrite.prepare import PreparedGraph, prepare


@dataclass(frozen=True)
class StoredGraph:
    """``graphs/DATA_TYPE.json``; the graph holds the default lists that the study used."""

    format: Literal[1]
    graph: TypedGraph


def write_graphs(folder: RunFolder, graphs: Mapping[str, TypedGraph]) -> None:
    """Writes each data type's graph, whole or not at all; what is there stays.

    A study's model and target never change, so neither do its graphs.
    """
    for data_type, graph in graphs.items():
        path = folder.graphs / f"{data_type}.json"
        if not path.exists():
            write_json(path, {"format": FORMAT, "graph": graph.to_json()})


def read_graphs(folder: RunFolder) -> dict[str, PreparedGraph]:
    """The graphs by data type, ready for painting; empty for a folder from before they were kept.

    Raises:
        InputError: a file is broken, of a newer format, or follows rules that are not known.
    """
    found = {}
    for path in sorted(folder.graphs.glob("*.json")):
        graph = read_stored(path, StoredGraph).graph
        if not _consistent(graph):
            raise InputError.one(str(path), "broken: it names nodes that it does not have")
        found[path.stem] = prepare(graph, rule_set(graph.rules).with_lists(graph.lists))
    return found


def _consistent(graph: TypedGraph) -> bool:
    nodes, vertices = range(len(graph.nodes)), range(len(graph.vertices))
    places = [vertex.node for vertex in graph.vertices]
    ends = (end for edge in graph.edges for end in (edge.source, edge.target))
    in_order = places == sorted(places) and all(place in nodes for place in places)
    return in_order and all(end in vertices for end in ends)
