"""What a real pass did, from its log folder, for ``amp-tune inspect``."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.cli.model_worker import rules_and_lists
from amp_tuner.errors import RewriteError
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.target.loaded import empty_worker

Types = set[tuple[str, str, int]]


def opened_log(
    options: argparse.Namespace,
) -> tuple[RuleSet, AmpLists, str, TypedGraph, str]:
    """The graph that the pass was given, the setting that it painted with, and words about it.

    The lists are the logged ones, unless ``--lists`` asks what others would have done. Levels are
    not logged: it is the one under which painting gives what the pass did, ``default`` if none.

    Raises:
        InputError: the folder, the rule set or the lists are wrong.
        RewriteError: the real pass fails on these lists.
        TargetError: no TensorFlow to read the graph with.
    """
    fetches = [name for name in options.fetch.split(",") if name]
    with empty_worker(options.python) as worker:
        graph, logged = worker.read_log(
            options.model.absolute(), options.rules, fetches, options.batch_size
        )
    rules = rule_set(logged["rules"])
    prepared = prepare(graph, rules)
    lists = rules.lists if logged["lists"] is None else AmpLists.from_json(logged["lists"])
    level, words = _level_and_words(prepared, lists, logged)
    count = logged["graphs"]
    which = (
        "the only logged graph without Casts of a pass"
        if count == 1
        else f"the largest of {count} logged graphs"
    )
    about = f"{logged['file']}, {which}; {words}"
    about += _about_lists(rules, lists)
    if options.lists is not None:
        options.rules = rules.identifier
        _, lists, level = rules_and_lists(options)
    return rules, lists, level, graph, about


def _level_and_words(
    prepared: PreparedGraph, lists: AmpLists, logged: dict[str, Any]
) -> tuple[str, str]:
    if logged["changed"] is None:
        return "default", "the pass converted nothing, or failed"
    real = {(node, attribute, element) for node, attribute, element in logged["changed"]}
    for level in prepared.rules.levels:
        try:
            ours = _painted(prepared, lists, level)
        except RewriteError:
            continue
        if ours == real:
            note = "" if level == "default" else f" with level {level}"
            return level, f"painting agrees with the pass{note} ({len(real)} type attributes)"
    difference = sorted(_painted(prepared, lists, "default") ^ real)
    node, attribute, _ = difference[0]
    return "default", (
        f"painting and the pass differ in {len(difference)} type attributes, the first is "
        f"{node}:{attribute}; fetched nodes are not logged: --fetch names them"
    )


def _painted(prepared: PreparedGraph, lists: AmpLists, level: str) -> Types:
    painting = paint(prepared, lists, level)
    vertices = (prepared.graph.vertices[index] for index in np.flatnonzero(painting.painted))
    return {
        (prepared.graph.nodes[vertex.node].name, vertex.attribute, vertex.element)
        for vertex in vertices
    }


def _about_lists(rules: RuleSet, lists: AmpLists) -> str:
    moves = lists.moves_from(rules.lists)
    if not moves:
        return f"\nlists: the defaults of {rules.identifier}"
    named = ", ".join(f"{op_type} to {place}" for op_type, place in list(moves.items())[:20])
    more = f" and {len(moves) - 20} more" if len(moves) > 20 else ""
    return f"\nlists: not the defaults of {rules.identifier}: {named}{more}"
