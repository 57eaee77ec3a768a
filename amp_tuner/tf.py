"""The rewrite engine inside a TensorFlow program.

Needs TensorFlow (2.15 or newer) and NumPy, nothing else:

    from amp_tuner.tf import rewrite
    graph_def = rewrite(graph_def, rules="tf-cpu-bfloat16", moves={"AvgPool": "allow"},
                        fetches=["Identity"])
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Optional

from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, Problem
from amp_tuner.runtime.graph_inputs import producer
from amp_tuner.runtime.rewrite_graph import rewrite_graph

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})


def rewrite(
    graph_def: graph_pb2.GraphDef,
    rules: str = "tf-cpu-bfloat16",
    moves: Optional[Mapping[str, str]] = None,
    fetches: Optional[Collection[str]] = None,
    default_device: Optional[str] = None,
    fold_weights: bool = False,
    level: str = "default",
) -> graph_pb2.GraphDef:
    """Converts part of a graph to 16 bits, exactly as the pass named by ``rules`` does.

    Args:
        graph_def: the FP32 graph; not changed.
        rules: a rule set: ``tf-cpu-bfloat16``, ``tf-cpu-float16``, ``tf-cuda-float16``,
            ``itex-cpu-bfloat16``, ``itex-gpu-bfloat16``, ``itex-gpu-float16``; with a version where
            lists changed: ``tf-cpu-bfloat16@2.15``.
        moves: op type to ``allow``, ``infer``, ``clear``, ``deny`` or ``none``: it leaves the list
            that it is in by default and joins that one; ``node:NAME`` moves single nodes, in which
            ``*`` stands for any characters. None: the default lists.
        fetches: nodes (or tensors) whose type must not change. None: nodes that nobody consumes.
            Placeholders are always kept.
        default_device: ``CPU`` or ``GPU``: where nodes are that name no device. None: where the
            pass itself puts them (TensorFlow's: on the rules' device; ITEX's leaves them alone).
        fold_weights: store weights in 16 bits that the pass would cast on every run.
        level: ``treat_infer_as_deny``, ``tensor_cores_only`` or ``unsafe_force_all``, where the
            pass has it.

    Returns:
        A new graph. Nodes keep their names; Casts are appended.

    Raises:
        InputError: no such rule set or list; a fetch or a moved node that is not in the graph.
        RewriteError: the real pass fails on this graph with these lists.
    """
    chosen = rule_set(rules)
    moves = moves or {}
    names = {node.name for node in graph_def.node}
    problems = [
        Problem(f"moves.{op_type}", f"no list {place!r}; allowed: {', '.join(DESTINATIONS)}")
        for op_type, place in moves.items()
        if place not in DESTINATIONS
    ]
    problems += [
        Problem("fetches", f"{fetch} is not in the graph")
        for fetch in fetches or ()
        if producer(fetch) not in names
    ]
    if problems:
        raise InputError(problems)
    kept = _unread(graph_def) if fetches is None else {producer(fetch) for fetch in fetches}
    kept |= {node.name for node in graph_def.node if node.op in _PLACEHOLDERS}
    return rewrite_graph(
        graph_def, chosen, chosen.lists.moved(moves), level, kept, default_device, fold_weights
    )


def _unread(graph_def: graph_pb2.GraphDef) -> set[str]:
    read = {producer(name) for node in graph_def.node for name in node.input}
    return {node.name for node in graph_def.node} - read
