"""What is wrong with a GraphDef that TensorFlow refuses without naming the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from amp_tuner.runtime.loader_graph import node_name


def unreadable_names(data: bytes) -> list[str]:
    """One text for each node of a serialised GraphDef whose name protobuf refuses to read."""
    # A BytesList holds in its field 1 what a GraphDef holds as nodes, and a node as its name.
    fields = tf.train.BytesList
    try:
        names = [fields.FromString(node).value[:1] for node in fields.FromString(data).value]
    except DecodeError:
        return []
    return [
        f"node {number} is called {name!r}, which is no UTF-8"
        for number, found in enumerate(names, start=1)
        for name in found
        if not _is_utf_8(name)
    ]


def _is_utf_8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def cycles(graph_def: tf.compat.v1.GraphDef) -> list[str]:
    """A text with the nodes of a cycle, where one is outside loops."""
    loops = {node.name for node in graph_def.node if node.op == "NextIteration"}
    names = {node.name for node in graph_def.node} - loops
    sources = {
        node.name: [name for name in dict.fromkeys(map(node_name, node.input)) if name in names]
        for node in graph_def.node
    }
    waiting = _behind_cycles(sources)
    if not waiting:
        return []
    # Each of them reads another of them, so going from one to what it reads comes round.
    place: dict[str, int] = {}
    name = next(iter(waiting))
    while name not in place:
        place[name] = len(place)
        name = next(source for source in sources[name] if source in waiting)
    cycle = [*list(place)[place[name] :], name]
    named = " reads ".join(map(repr, cycle[:8])) + (" reads …" if len(cycle) > 8 else "")
    return [f"nodes form a cycle outside loops: {named}"]


def _behind_cycles(sources: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The nodes that read, directly or not, from a cycle, and how many such each reads."""
    left = {name: len(read) for name, read in sources.items()}
    readers: dict[str, list[str]] = {name: [] for name in sources}
    for name, read in sources.items():
        for source in read:
            readers[source].append(name)
    free = [name for name, count in left.items() if not count]
    for name in free:
        for reader in readers[name]:
            left[reader] -= 1
            if not left[reader]:
                free.append(reader)
    return {name: count for name, count in left.items() if count}
