"""The four lists of op types, and moves between them.

A pass knows four lists; an op type is in at most one of them, or in none. A *setting* is given as
moves against a runtime's default lists: one op type leaves the list it is in and joins another
(or none). Moves made here can never produce the conflict that makes the real passes fail.

Our own rewrite also takes moves of single nodes, which no pass does: ``node:`` and a node's name,
or a pattern in which ``*`` stands for any characters (``node:encoder/layer_3/*``). These nodes are
painted as if their op type were in the list that they move to; others of that type are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

#: The lists, in the order in which the passes' documents name them.
LIST_NAMES = ("allow", "deny", "infer", "clear")
#: Where a move can send an op type or a node: a list, or no list at all.
DESTINATIONS = ("allow", "infer", "clear", "deny", "none")
#: How the subject of a move begins that is a node, or a pattern of nodes' names.
NODE = "node:"
#: TensorFlow's rule (``ValidateOpDef``); ops of its own passes begin with an underscore.
_OP_TYPE = re.compile(r"_*[A-Z][A-Za-z0-9_]*(?:>[A-Z][A-Za-z0-9_]*)*")
#: TensorFlow's rule (``IsValidOpName`` of ``node_def_util.cc``), with ``*``.
_NODE = re.compile(re.escape(NODE) + r"[A-Za-z0-9.*_][A-Za-z0-9_.\\/>*-]*")


def is_op_type(name: str) -> bool:
    """Whether TensorFlow could have an op type of that name: ``AvgPool``, ``Addons>Gelu``."""
    return len(name) <= 1000 and _OP_TYPE.fullmatch(name) is not None


def is_node(subject: str) -> bool:
    """Whether the subject of a move is a node, or a pattern: ``node:encoder/*``."""
    return len(subject) <= 1000 and _NODE.fullmatch(subject) is not None


def moves_of_nodes(moves: Mapping[str, str]) -> dict[str, str]:
    """Those of ``moves`` whose subjects are nodes, sorted."""
    return {subject: place for subject, place in sorted(moves.items()) if is_node(subject)}


@dataclass(frozen=True)
class AmpLists:
    """The four lists of one setting. Lists may overlap only if a user's variables made them so.

    Attributes:
        allow, deny, infer, clear: op types.
        nodes: nodes that are not in their op type's list: subject of the move (``node:…``) to one
            of DESTINATIONS. Of two that fit one node the later in the alphabet counts.
    """

    allow: frozenset[str] = field(default_factory=frozenset)
    deny: frozenset[str] = field(default_factory=frozenset)
    infer: frozenset[str] = field(default_factory=frozenset)
    clear: frozenset[str] = field(default_factory=frozenset)
    nodes: Mapping[str, str] = field(default_factory=dict)

    def list_of(self, op_type: str) -> str:
        """The list that holds ``op_type``: one of DESTINATIONS, ``none`` if it is in no list."""
        for name in LIST_NAMES:
            if op_type in getattr(self, name):
                return name
        return "none"

    def conflicts(self) -> tuple[str, ...]:
        """Op types (or the empty string) that are in two or more lists, sorted."""
        pairs = combinations((self.allow, self.deny, self.infer, self.clear), 2)
        return tuple(sorted({op for one, other in pairs for op in one & other}))

    def moved(self, moves: Mapping[str, str]) -> AmpLists:
        """These lists after ``moves`` (op type or node to destination): each leaves where it was.

        Raises:
            ValueError: a destination is not one of DESTINATIONS.
        """
        unknown = {place for place in moves.values() if place not in DESTINATIONS}
        if unknown:
            raise ValueError(f"no such list: {sorted(unknown)}; allowed: {', '.join(DESTINATIONS)}")
        nodes = moves_of_nodes(moves)
        op_types = {subject: place for subject, place in moves.items() if subject not in nodes}
        edited = {
            name: (getattr(self, name) - op_types.keys())
            | {op_type for op_type, place in op_types.items() if place == name}
            for name in LIST_NAMES
        }
        return replace(self, **edited, nodes={**self.nodes, **nodes})

    def moves_from(self, default: AmpLists) -> dict[str, str]:
        """The moves that turn ``default`` into these lists, sorted by subject.

        Nodes of ``default`` are those of these lists, or it has none.
        """
        op_types = set().union(
            *(getattr(lists, name) for lists in (self, default) for name in LIST_NAMES)
        )
        of_types = {
            op_type: self.list_of(op_type)
            for op_type in sorted(op_types)
            if self.list_of(op_type) != default.list_of(op_type)
        }
        of_nodes = {
            subject: place
            for subject, place in sorted(self.nodes.items())
            if default.nodes.get(subject) != place
        }
        return {**of_types, **of_nodes}

    def to_json(self) -> dict[str, Any]:
        """Sorted lists by name, and nodes where there are any; the inverse of :meth:`from_json`."""
        lists: dict[str, Any] = {name: sorted(getattr(self, name)) for name in LIST_NAMES}
        return {**lists, "nodes": dict(sorted(self.nodes.items()))} if self.nodes else lists

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AmpLists:
        """Lists from what :meth:`to_json` gave."""
        lists = {name: frozenset(value[name]) for name in LIST_NAMES}
        return cls(**lists, nodes=dict(value.get("nodes", {})))
