"""What a level makes of the four lists, and the check that makes the real passes fail."""

from __future__ import annotations

from collections.abc import Mapping

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import RuleSet
from amp_tuner.errors import RewriteError
from amp_tuner.records import LEVELS

FORCE_ALL = "unsafe_force_all"


def effective_lists(rules: RuleSet, lists: AmpLists, level: str) -> AmpLists:
    """The lists that the pass paints with, under ``level``.

    ``treat_infer_as_deny`` moves INFER into DENY; ``tensor_cores_only`` leaves ALLOW alone (in the
    bfloat16 mode it does nothing); ``unsafe_force_all`` does not touch the lists.

    Raises:
        RewriteError: the pass fails: an op type is in two lists, or it refuses the level.
    """
    if level not in LEVELS:
        raise RewriteError(f"no such level: {level!r}; allowed: {', '.join(LEVELS)}")
    if level == FORCE_ALL and FORCE_ALL not in rules.levels:
        raise RewriteError(f"{rules.name} fails with level {FORCE_ALL}")
    if level == "treat_infer_as_deny" and level in rules.levels:
        nodes = _nodes(lists, {"infer": "deny"})
        lists = AmpLists(lists.allow, lists.deny | lists.infer, clear=lists.clear, nodes=nodes)
    if level == "tensor_cores_only" and level in rules.levels:
        nodes = _nodes(lists, {"infer": "none", "clear": "none", "deny": "none"})
        lists = AmpLists(allow=lists.allow, nodes=nodes)
    conflicts = lists.conflicts()
    if conflicts:
        named = ", ".join(repr(op_type) for op_type in conflicts)
        raise RewriteError(f"op types in two or more lists: {named}; each may be in one only")
    return lists


def _nodes(lists: AmpLists, places: Mapping[str, str]) -> dict[str, str]:
    """The moves of nodes, with another place for some."""
    return {subject: places.get(place, place) for subject, place in lists.nodes.items()}
