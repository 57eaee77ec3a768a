"""What a pass wrote to its log folder, read and written."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.pass_logs import (
    MAIN_ITEM,
    LogFiles,
    find_logs,
    lists_from_text,
    lists_to_text,
)
from amp_tuner.amp.rules import TENSORFLOW, RuleSet, rule_set, rule_sets_of
from amp_tuner.errors import InputError, Problem
from amp_tuner.files import whole_file, write_text
from amp_tuner.graph.typed_graph import Shapes, TypedGraph
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.devices import parse_device
from amp_tuner.runtime.graph_changes import changed_type_attributes
from amp_tuner.runtime.graph_faults import unreadable_names
from amp_tuner.runtime.graph_inputs import producer
from amp_tuner.runtime.model_names import wrong_names
from amp_tuner.runtime.shapes import with_shapes
from amp_tuner.runtime.unsafe import unsafe_nodes

_CAST_NAMES = {"CastToBf16": "bfloat16", "CastToFp16": "float16"}
#: How the names of the passes' own Casts end.
CAST_SUFFIX = "-AutoMixedPrecision"


@dataclass(frozen=True)
class PassDump:
    """One run of the pass.

    Attributes:
        files: where it was read.
        before: the graph that the pass was given.
        after: what it made of it; None where it converted nothing, or failed.
        lists: the lists that it painted with; None where it printed none.
    """

    files: LogFiles
    before: graph_pb2.GraphDef
    after: Optional[graph_pb2.GraphDef]
    lists: Optional[AmpLists]

    @property
    def item(self) -> str:
        """Which graph: MAIN_ITEM or a function's name; empty in ITEX's folders."""
        return self.files.item


def read_dumps(folder: Path) -> tuple[PassDump, ...]:
    """All runs of the pass in a log folder, by time.

    Raises:
        InputError: a file is broken.
    """
    return tuple(map(_read, find_logs(folder)))


def _read(files: LogFiles) -> PassDump:
    lists = None
    if files.lists.exists():
        text = files.lists.read_text(encoding="utf-8", errors="replace")
        lists = lists_from_text(text, str(files.lists))
    return PassDump(
        files=files,
        before=_graph_def(files.before),
        after=_graph_def(files.after) if files.after.exists() else None,
        lists=lists,
    )


def _graph_def(path: Path) -> graph_pb2.GraphDef:
    graph_def = graph_pb2.GraphDef()
    data = path.read_bytes()
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        problems = unreadable_names(data) or ["is truncated or no GraphDef"]
        raise InputError(Problem(str(path), problem) for problem in problems) from error
    return graph_def


def write_dump(
    folder: Path,
    family: str,
    before: graph_pb2.GraphDef,
    after: graph_pb2.GraphDef,
    lists: AmpLists,
) -> LogFiles:
    """Writes the five files of one run, as the pass of ``family`` names them.

    Raises:
        OSError: the folder cannot be written to.
    """
    item = MAIN_ITEM if family == TENSORFLOW else ""
    files = LogFiles(folder, item, int(time.time() * 1000))
    for path, graph_def in ((files.before, before), (files.after, after)):
        with whole_file(path, shared=True) as file:
            file.write(graph_def.SerializeToString())
        text = text_format.MessageToString(graph_def)
        write_text(path.with_suffix(".pb.txt"), text, shared=True)
    write_text(files.lists, lists_to_text(lists), shared=True)
    return files


def describe_dump(
    folder: Path,
    rules: Optional[str],
    fetches: Collection[str],
    batch_size: Optional[int] = None,
) -> dict[str, Any]:
    """The largest graph that a pass was given, and what it made of it, as JSON.

    ITEX's pass runs again on what it has rewritten; such a graph counts only if there is no other.

    Args:
        folder: its log folder.
        rules: the rule set; None: found from files, devices, lists and Casts.
        fetches: nodes that the pass had to keep; empty: those that nobody reads.
        batch_size: also infer shapes, with this where an input's first dimension is free.

    Returns:
        ``rules`` (its identifier), ``graph`` (a typed graph), ``lists`` (None where none were
        printed), ``changed`` (None where nothing was converted; else node, attribute, element of
        each float32 type attribute that became 16-bit), ``file``, ``graphs`` that it is one of.

    Raises:
        InputError: a file is broken, or the rule set cannot be found.
        RewriteError: the real pass fails on this graph.
    """
    dumps = read_dumps(folder)
    if not dumps:
        raise InputError.one(str(folder), "holds no graphdef_preop_*.pb of a pass")
    given = [one for one in dumps if not _holds_casts(one.before)] or dumps
    dump = max(given, key=lambda one: len(one.before.node))
    wrong = wrong_names(dump.before)
    if wrong:
        raise InputError(Problem(str(dump.files.before), problem) for problem in wrong)
    chosen = _rules_of(dump) if rules is None else rule_set(rules)
    # A pass of ITEX is never given a graph in which no node has a device: `rewrite` logged it.
    device = None if any(node.device for node in dump.before.node) else chosen.device_type
    graph = describe(dump.before, chosen, _preserved(dump.before, fetches), device)
    if batch_size is not None:
        graph = _with_shapes(graph, dump.before, batch_size)
    changed = None
    if dump.after is not None:
        found = changed_type_attributes(dump.before, dump.after)
        changed = sorted([one.node, one.attribute, one.position] for one in found)
    return {
        "rules": chosen.identifier,
        "graph": graph.to_json(),
        "lists": None if dump.lists is None else dump.lists.to_json(),
        "changed": changed,
        "file": dump.files.before.name,
        "graphs": len(given),
    }


def _with_shapes(graph: TypedGraph, graph_def: graph_pb2.GraphDef, batch_size: int) -> TypedGraph:
    """``graph`` with shapes, unless it touches files: TensorFlow would, to find a shape."""
    unsafe = unsafe_nodes(graph_def, [node.name for node in graph_def.node])
    if unsafe:
        return replace(graph, shapes=Shapes(None, {}, unsafe[0].partition(";")[0]))
    return with_shapes(graph, graph_def, batch_size)


def _preserved(graph_def: graph_pb2.GraphDef, fetches: Collection[str]) -> set[str]:
    read = {producer(name) for node in graph_def.node for name in node.input}
    ends = {producer(name) for name in fetches} or {node.name for node in graph_def.node} - read
    return ends | {node.name for node in graph_def.node if node.op.startswith("Placeholder")}


def _rules_of(dump: PassDump) -> RuleSet:
    """The rule set whose pass wrote the dump.

    Raises:
        InputError: several fit, and the files do not tell which.
    """
    fitting = list(rule_sets_of(dump.files.family))
    data_type = _data_type(dump.after)
    device = "gpu" if _is_on_gpu(dump.before) else "cpu"
    fitting = [rules for rules in fitting if rules.device == device]
    if data_type is not None:
        fitting = [rules for rules in fitting if rules.data_type == data_type]
    same_lists = [rules for rules in fitting if rules.lists == dump.lists]
    names = {rules.name for rules in same_lists or fitting}
    if len(names) != 1:
        allowed = ", ".join(sorted({rules.name for rules in fitting})) or "any rule set"
        message = f"{dump.files.before.name} does not tell the pass; name it; likely: {allowed}"
        raise InputError.one("--rules", message)
    return (same_lists or fitting)[0]


def _data_type(after: Optional[graph_pb2.GraphDef]) -> Optional[str]:
    """The 16-bit type that the pass's own Casts name."""
    for node in after.node if after is not None else ():
        if node.name.endswith(CAST_SUFFIX):
            for part, data_type in _CAST_NAMES.items():
                if part in node.name:
                    return data_type
    return None


def _is_on_gpu(graph_def: graph_pb2.GraphDef) -> bool:
    places = (parse_device(device) for device in {node.device for node in graph_def.node})
    return any(place is not None and place[0] in ("GPU", "XPU") for place in places)


def _holds_casts(graph_def: graph_pb2.GraphDef) -> bool:
    """Whether a pass has rewritten the graph before."""
    return any(node.name.endswith(CAST_SUFFIX) for node in graph_def.node)
