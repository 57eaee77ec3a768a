"""Where an op takes the name of a file from: the only good source is the loader itself.

A SavedModel's loader feeds the names of the model's own files, its checkpoint and its assets, to
tensors that the model names. A file op is harmless where its file name is such a tensor, passed on
by ``Identity``, by calls, and by variables that hold nothing else; a name that the graph makes
itself may be any file's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Optional

import tensorflow as tf

from amp_tuner.runtime.loader_graph import all_nodes, called_functions, node_name, tensor_name

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PASSING = frozenset({"Identity", "PlaceholderWithDefault"})
#: What may be done with a variable that holds a file's name.
_USES = frozenset({"AssignVariableOp", "DisableCopyOnRead", "ReadVariableOp", "VarIsInitializedOp"})

Place = tuple[str, tf.compat.v1.NodeDef]


def leads_out(name: str) -> bool:
    """Whether a relative file name could name something outside of its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    return (
        path.is_absolute()
        or ".." in path.parts
        or "\0" in name
        or bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name))
    )


class FileNames:
    """Follows file names in one graph back to where they come from.

    Args:
        graph_def: the graph with its functions.
    """

    def __init__(self, graph_def: tf.compat.v1.GraphDef) -> None:
        self._nodes = {(function, node.name): node for function, node in all_nodes(graph_def)}
        self._arguments = {
            function.signature.name: [argument.name for argument in function.signature.input_arg]
            for function in graph_def.library.function
        }
        self._callers: dict[str, list[Place]] = defaultdict(list)
        for function, node in all_nodes(graph_def):
            for called in called_functions(node):
                self._callers[called].append((function, node))

    def are_given(
        self, given: Collection[str], function: str, node: tf.compat.v1.NodeDef, position: int
    ) -> bool:
        """Whether a node's input can only be what the loader feeds.

        Args:
            given: tensors (``node:0``) that the loader feeds with names of the model's own files.
            function: the function that the node is in; empty for the graph itself.
            node: the op that takes a file's name.
            position: which of its inputs.
        """
        if position >= len(node.input):
            return False
        waiting = [(function, str(node.input[position]))]
        seen = set(waiting)
        while waiting:
            inside, reference = waiting.pop()
            if not inside and tensor_name(reference) in given:
                continue
            sources = self._sources(inside, reference)
            if sources is None:
                return False
            new = [source for source in sources if source not in seen]
            seen.update(new)
            waiting += new
        return True

    def _sources(self, function: str, reference: str) -> Optional[list[tuple[str, str]]]:
        """The tensors that this one is passed on from; None if it is made here."""
        if reference in self._arguments.get(function, ()):
            return self._passed(function, self._arguments[function].index(reference))
        node = self._nodes.get((function, node_name(reference)))
        if node is not None and node.op == "ReadVariableOp" and not function:
            return self._assigned(node_name(node.input[0]))
        if node is None or node.op not in _PASSING:
            return None
        return [(function, str(node.input[0]))]

    def _passed(self, function: str, position: int) -> Optional[list[tuple[str, str]]]:
        """What every call of a function passes as one of its arguments."""
        callers = self._callers[function]
        if any(node.op != function and node.op not in _CALLS for _, node in callers):
            return None
        return [(caller, str(node.input[position])) for caller, node in callers]

    def _assigned(self, variable: str) -> Optional[list[tuple[str, str]]]:
        """What is ever assigned to a variable of the graph; None where that cannot be told."""
        node = self._nodes.get(("", variable))
        if node is None or node.op != "VarHandleOp":
            return None
        # Handles of one name are one variable.
        same = [
            (function, other.name)
            for (function, _), other in self._nodes.items()
            if other.op == node.op and other.attr["shared_name"].s == node.attr["shared_name"].s
        ]
        users = [
            other
            for (function, _), other in self._nodes.items()
            if any((function, node_name(name)) in same for name in _data(other))
        ]
        if any(function for function, _ in same) or any(user.op not in _USES for user in users):
            return None
        return [("", str(user.input[1])) for user in users if user.op == "AssignVariableOp"]


def _data(node: tf.compat.v1.NodeDef) -> list[str]:
    """A node's inputs, those for the order of running aside."""
    return [name for name in node.input if not name.startswith("^")]
