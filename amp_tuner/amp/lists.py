"""The four lists of op types, and moves between them.

A pass knows four lists; an op type is in at most one of them, or in none. A *setting* is given as
moves against a runtime's default lists: one op type leaves the list it is in and joins another
(or none). Moves made here can never produce the conflict that makes the real passes fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

#: The lists, in the order in which the passes' documents name them.
LIST_NAMES = ("allow", "deny", "infer", "clear")
#: Where a move can send an op type: a list, or no list at all.
DESTINATIONS = ("allow", "infer", "clear", "deny", "none")
#: TensorFlow's rule (``ValidateOpDef``); ops of its own passes begin with an underscore.
_OP_TYPE = re.compile(r"_*[A-Z][A-Za-z0-9_]*(?:>[A-Z][A-Za-z0-9_]*)*")


def is_op_type(name: str) -> bool:
    """Whether TensorFlow could have an op type of that name: ``AvgPool``, ``Addons>Gelu``."""
    return len(name) <= 1000 and _OP_TYPE.fullmatch(name) is not None


@dataclass(frozen=True)
class AmpLists:
    """The four lists of one setting. Lists may overlap only if a user's variables made them so."""

    allow: frozenset[str] = field(default_factory=frozenset)
    deny: frozenset[str] = field(default_factory=frozenset)
    infer: frozenset[str] = field(default_factory=frozenset)
    clear: frozenset[str] = field(default_factory=frozenset)

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
        """These lists after ``moves`` (op type to destination): each leaves where it was.

        Raises:
            ValueError: a destination is not one of DESTINATIONS.
        """
        unknown = {place for place in moves.values() if place not in DESTINATIONS}
        if unknown:
            raise ValueError(f"no such list: {sorted(unknown)}; allowed: {', '.join(DESTINATIONS)}")
        edited = {
            name: (getattr(self, name) - moves.keys())
            | {op_type for op_type, place in moves.items() if place == name}
            for name in LIST_NAMES
        }
        return replace(self, **edited)

    def moves_from(self, default: AmpLists) -> dict[str, str]:
        """The moves that turn ``default`` into these lists, sorted by op type."""
        op_types = set().union(
            *(getattr(lists, name) for lists in (self, default) for name in LIST_NAMES)
        )
        return {
            op_type: self.list_of(op_type)
            for op_type in sorted(op_types)
            if self.list_of(op_type) != default.list_of(op_type)
        }

    def to_json(self) -> dict[str, list[str]]:
        """Sorted lists by name; the inverse of :meth:`from_json`."""
        return {name: sorted(getattr(self, name)) for name in LIST_NAMES}

    @classmethod
    def from_json(cls, value: Mapping[str, list[str]]) -> AmpLists:
        """Lists from what :meth:`to_json` gave."""
        return cls(**{name: frozenset(value[name]) for name in LIST_NAMES})
