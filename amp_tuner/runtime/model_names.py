"""Names in a model that could do harm where they are shown or written: refused.

TensorFlow checks names of nodes when it imports a graph, but not those in functions, of functions
or of arguments. They all end up on terminals, in tables, pages and files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import tensorflow as tf

from amp_tuner.amp.lists import is_op_type
from amp_tuner.runtime.loader_graph import all_nodes, full_name

#: TensorFlow's rule (``ops.py``), and the underscore that its own passes begin names with.
_NODE = re.compile(r"[\w.][\w.\\/>-]*", re.ASCII)
#: Functions are named after Python's, ``<lambda>`` included.
_FUNCTION = re.compile(r"[\w./<>\[\]=:,@~+*-]+")
_LONGEST = 10_000
_SHOWN = 60


def wrong_names(graph_def: tf.compat.v1.GraphDef) -> list[str]:
    """One text for each kind of name that breaks TensorFlow's rules; the first of its kind."""
    found: dict[str, str] = {}
    functions = {function.signature.name for function in graph_def.library.function}
    for name in functions:
        if not _FUNCTION.fullmatch(name) or len(name) > _LONGEST:
            found.setdefault("function", f"function {shortened(name)} has no name of a function")
    for function, node in all_nodes(graph_def):
        if not _NODE.fullmatch(node.name) or len(node.name) > _LONGEST:
            place = shortened(full_name(function, node))
            found.setdefault("node", f"node {place} has no name of a node")
        if node.op not in functions and not is_op_type(node.op):
            place = shortened(full_name(function, node))
            found.setdefault("op", f"op type {shortened(node.op)} (node {place}) is no op type")
    return [
        f"{text}; allowed are letters, digits, '_', '.', '/', '-' and '>'"
        for text in found.values()
    ]


def wrong_words(kind: str, names: Iterable[str]) -> Iterator[str]:
    """One text for each name of a signature's part that holds control characters."""
    for name in names:
        if not name.isprintable() or len(name) > _LONGEST:
            yield f"{kind} {shortened(name)} holds what cannot be printed, or is far too long"


def shortened(name: str) -> str:
    """A name in quotes, without what cannot be printed, and not too long."""
    text = repr(name)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
