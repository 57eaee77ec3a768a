"""Which graph each run of a pass was given, told from its dumps.

A pass runs on a session's own graph and on each function that stays one. ITEX's runs again on what
it has rewritten, names no graph in its dumps, and gives them a time in milliseconds: a run within
the same millisecond overwrites the files of the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Optional

from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.pass_logs import MAIN_ITEM
from amp_tuner.runtime.describe import DATA_TYPES
from amp_tuner.runtime.pass_dumps import CAST_SUFFIX, PassDump


@dataclass(frozen=True)
class PassRuns:
    """The runs of a pass while one session was optimised.

    Attributes:
        main: the first run on the session's own graph.
        again: later runs on it, which find the Casts of the first.
        functions: runs on functions.
    """

    main: PassDump
    again: tuple[PassDump, ...]
    functions: tuple[PassDump, ...]


def stock_runs(dumps: Sequence[PassDump]) -> Optional[PassRuns]:
    """TensorFlow's runs, which name their graphs; None without one on the session's own graph."""
    main = next((dump for dump in dumps if dump.item == MAIN_ITEM), None)
    if main is None:
        return None
    return PassRuns(main, (), tuple(dump for dump in dumps if dump is not main))


def itex_runs(
    dumps: Sequence[PassDump], kept: Collection[str], *, has_casts: bool
) -> Optional[PassRuns]:
    """ITEX's runs, told by what is in them; None where dumps are missing or were overwritten.

    Args:
        dumps: by time; the session's own graph comes before its functions.
        kept: nodes that the session's own graph has: its feeds and fetches.
        has_casts: whether the model itself holds Casts of an earlier rewrite.
    """
    # A later function may have nodes of the same names.
    own = tuple(takewhile(lambda dump: set(kept) <= _names(dump), dumps))
    if not own or not all(map(_is_a_pair, dumps)):
        return None
    if not has_casts and any(name.endswith(CAST_SUFFIX) for name in _names(own[0])):
        return None
    return PassRuns(own[0], own[1:], tuple(dumps[len(own) :]))


def is_lost(runs: PassRuns) -> bool:
    """Whether the next run on the session's own graph found nothing of what the first converted.

    If one of ITEX's passes fails, TensorFlow takes back what all of them did.
    """
    if runs.main.after is None or not runs.again:
        return False
    return _is_converted(runs.main.after) and not _is_converted(runs.again[0].before)


def _is_converted(graph_def: graph_pb2.GraphDef) -> bool:
    """Whether a graph has 16-bit types, or what a later pass has made of the Casts around them.

    ITEX's remapper fuses a MatMul with all its Casts into one that is float32 outside and computes
    in bfloat16; it is called as the last Cast was.
    """
    types = set(DATA_TYPES.values())
    return any(
        node.name.endswith(CAST_SUFFIX) or any(value.type in types for value in node.attr.values())
        for node in graph_def.node
    )


def _names(dump: PassDump) -> set[str]:
    return {node.name for node in dump.before.node}


def _is_a_pair(dump: PassDump) -> bool:
    """Whether both graphs are of one run: the pass adds Casts and takes no node away."""
    return dump.after is None or _names(dump) <= {node.name for node in dump.after.node}
