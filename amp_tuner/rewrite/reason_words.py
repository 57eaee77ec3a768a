"""Reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from amp_tuner.rewrite.prepare import PreparedGraph
    from amp_tuner.rewrite.reasons import Reason, Way

#: What people call the data types.
TYPE_NAMES = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}


class Words(NamedTuple):
    """A rule for people.

    Attributes:
        full: with the nodes that decided: ``{first}`` and ``{second}``, ``{way}`` to the first.
        short: without names, to count equal ones: ``{op}`` is the first one's op type.
    """

    full: str
    short: str


_CANNOT_FORCE = "level unsafe_force_all leaves it: it has state, references or a fixed value"
#: Every rule that gives a vertex its colour; the keys are stable names.
RULES: Mapping[str, Words] = {
    "allow": Words("ALLOW", "ALLOW"),
    "forced": Words("forced by level unsafe_force_all", "forced"),
    "between": Words("{place}, between {first} and {second}", "between ALLOW ops"),
    "after_16bit": Words("INFER, directly after {first}", "directly after 16-bit"),
    "through_clear": Words("CLEAR, reached from {first}{way}", "reached through CLEAR"),
    "list_16bit": Words("shares a TensorList with {first} in 16 bits", "shares a TensorList"),
    "loop_16bit": Words("all that it feeds is 16-bit, such as {first}", "its loop is 16-bit"),
    "absorbed": Words("a Cast for 16-bit nodes only, such as {first}", "Cast for 16-bit nodes"),
    "skipped": Words("{skipped}", "{skipped}"),
    "nothing_allowed": Words("the pass stops: ALLOW holds no op of this graph", "nothing in ALLOW"),
    "kept": Words("input or output of the model", "input or output"),
    "device": Words("on another device", "on another device"),
    "quantized": Words("ALLOW, but it has quantized types", "quantized"),
    "no_type": Words("the op takes no {type} there", "op takes no {type}"),
    "no_kernel": Words("no {type} kernel", "no {type} kernel"),
    "not_forceable": Words(_CANNOT_FORCE, "cannot be forced"),
    "deny": Words("DENY", "DENY"),
    "downstream_of_deny": Words("{place}, downstream of {first}{way}", "downstream of {op}"),
    "list_float32": Words("shares a TensorList with {first} in FP32", "shares a TensorList"),
    "list_escapes": Words("its TensorList leaves the pass's reach{at}", "its TensorList leaves"),
    "loop_float32": Words("its loop also has {first} in FP32", "its loop is FP32"),
    "unlisted": Words("in no list", "in no list"),
    "reads_variable": Words("CLEAR, but it reads a variable", "reads a variable"),
    "clear_alone": Words("CLEAR, no 16-bit node in reach through CLEAR", "no 16-bit node near"),
    "beside_deny": Words(
        "INFER, directly after {first}, but also after {second}, which was denied",
        "an input was denied",
    ),
    "nothing_below": Words(
        "INFER, downstream of {first}{way}, but no ALLOW op is downstream of it",
        "no ALLOW op downstream",
    ),
    "nothing_above": Words(
        "INFER, upstream of {first}{way}, but no ALLOW op is upstream of it",
        "no ALLOW op upstream",
    ),
    "infer_alone": Words("INFER, no ALLOW op upstream or downstream", "no ALLOW op near"),
}


def in_words(prepared: PreparedGraph, reason: Reason, place: str) -> str:
    """A reason with the names of the nodes that decided.

    Args:
        prepared: the graph.
        reason: of one of its vertices.
        place: the list of that vertex's op type.
    """
    two_ways = len(reason.ways) > 1
    named = [
        f"{_node(prepared, way)}{f' ({_passed(way)})' if two_ways and way.nodes else ''}"
        for way in (*reason.ways, None, None)
        if way is not None
    ]
    first = reason.ways[0] if reason.ways else None
    return RULES[reason.rule].full.format(
        place=place.upper() if place != "none" else "in no list",
        first=named[0] if named else "another op",
        second=named[1] if two_ways else "",
        way=f" {_passed(first)}" if first is not None and first.nodes else "",
        at=f" at {named[0]}" if named else "",
        type=TYPE_NAMES[prepared.rules.data_type],
        skipped=prepared.graph.skipped,
    )


def in_short(prepared: PreparedGraph, reason: Reason) -> str:
    """A reason without names, the same for many nodes."""
    graph = prepared.graph
    op = graph.nodes[graph.vertices[reason.ways[0].vertex].node].op if reason.ways else ""
    return RULES[reason.rule].short.format(
        op=op, type=TYPE_NAMES[prepared.rules.data_type], skipped=graph.skipped
    )


def _node(prepared: PreparedGraph, way: Way) -> str:
    node = prepared.graph.nodes[prepared.graph.vertices[way.vertex].node]
    return f"{node.op} `{node.name}`"


def _passed(way: Way) -> str:
    """``through 1 INFER and 2 CLEAR nodes``."""
    counts = {"INFER": way.infer, "CLEAR": way.clear, "other": way.other}
    parts = [f"{count} {kind}" for kind, count in counts.items() if count]
    return f"through {' and '.join(parts)} node{'' if way.nodes == 1 else 's'}"
