"""``amp-tune inspect``: what a setting does to a model, and why."""

from __future__ import annotations

import argparse
import sys

from amp_tuner.amp.levels import effective_lists
from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.pass_logs import is_log_folder
from amp_tuner.cli.inspect_text import show_explanation, show_moves, show_nodes, summary_lines
from amp_tuner.cli.log_folder import opened_log
from amp_tuner.cli.model_worker import check_op_types, model_worker, rules_and_lists
from amp_tuner.cli.output import write_json_output, write_output
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.report.graph_page import graph_page
from amp_tuner.rewrite.explain import Explanation, explain
from amp_tuner.rewrite.moves import single_moves
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.text import printable


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: model, rule set or lists are wrong.
        RewriteError: the real pass fails on these lists.
        TargetError: no TensorFlow to read the model with.
    """
    console = make_console()
    if is_log_folder(options.model):
        with working(console, "reading the log"):
            rules, lists, level, graph, about = opened_log(options)
        print(printable(about), file=sys.stderr)
    else:
        rules, lists, level = rules_and_lists(options)
        with working(console, "loading the model"), model_worker(options) as worker:
            found = worker.describe([rules.identifier], options.batch_size)
            graph = found[rules.identifier]
    check_op_types(options, graph)
    prepared = prepare(graph, rules)
    explanation = explain(prepared, lists, level)
    moves = single_moves(prepared, lists, level) if options.moves else None
    if options.html is not None:
        _write_page(options, prepared, lists, level, explanation)
    if options.json is not None:
        content = {"format": 1, "rules": rules.identifier, **explanation.to_json()}
        if moves is not None:
            content["moves"] = moves.to_json()
        write_json_output("--json", options.json, content)
        return 0
    show_explanation(console, explanation, rules.identifier)
    if moves is not None:
        show_moves(console, moves)
    if options.nodes:
        show_nodes(explanation)
    if options.html is not None:
        print(f"\n{options.html}: the graph, drawn")
    return 0


def _write_page(
    options: argparse.Namespace,
    prepared: PreparedGraph,
    lists: AmpLists,
    level: str,
    explanation: Explanation,
) -> None:
    rules = prepared.rules
    at_level = "" if level == "default" else f" at level {level}"
    page = graph_page(
        title=f"{options.model.absolute().name} under {rules.identifier}{at_level}",
        summary=summary_lines(explanation, rules.identifier),
        prepared=prepared,
        painting=paint(prepared, lists, level),
        lists=effective_lists(rules, lists, level),
        explanation=explanation,
    )
    write_output("--html", options.html, page)
