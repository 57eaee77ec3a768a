"""What stock TensorFlow's pass wrote to its log folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tensorflow.core.framework import graph_pb2

#: The item that holds a session's own graph; others are functions that were not inlined.
MAIN_ITEM = "tf_graph"
_BEFORE = re.compile(r"graphdef_preop_(.+)_(\d+)\.pb")
_AFTER = "graphdef_AutoMixedPrecision_{item}_{time_ms}.pb"


@dataclass(frozen=True)
class PassDump:
    """One run of the pass.

    Attributes:
        item: which graph: MAIN_ITEM or a function's name.
        before: the graph that the pass was given.
        after: what it made of it; None where it converted nothing, or failed.
    """

    item: str
    before: graph_pb2.GraphDef
    after: Optional[graph_pb2.GraphDef]


def read_dumps(folder: Path) -> tuple[PassDump, ...]:
    """All runs of the pass in a log folder, by item and time."""
    found = sorted(
        filter(None, (_BEFORE.fullmatch(file.name) for file in folder.iterdir())), key=str
    )
    return tuple(_read(folder, match[0], match[1], match[2]) for match in found)


def _read(folder: Path, before: str, item: str, time_ms: str) -> PassDump:
    after = folder / _AFTER.format(item=item, time_ms=time_ms)
    return PassDump(
        item=item,
        before=_graph_def(folder / before),
        after=_graph_def(after) if after.exists() else None,
    )


def _graph_def(path: Path) -> graph_pb2.GraphDef:
    graph_def = graph_pb2.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    return graph_def
