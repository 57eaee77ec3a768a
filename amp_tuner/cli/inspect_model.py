"""``amp-tune inspect``: what a setting does to a model, and why."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from amp_tuner.amp.pass_logs import is_log_folder
from amp_tuner.cli.log_folder import opened_log
from amp_tuner.cli.model_worker import check_op_types, model_worker, rules_and_lists
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.files import write_json
from amp_tuner.rewrite.explain import Explanation, explain
from amp_tuner.rewrite.prepare import prepare

_TO_OUTPUT = Path("-")


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
        print(about, file=sys.stderr)
    else:
        rules, lists, level = rules_and_lists(options)
        with working(console, "loading the model"), model_worker(options) as worker:
            graph = worker.describe([rules.identifier])[rules.identifier]
    check_op_types(options, frozenset(node.op for node in graph.nodes))
    explanation = explain(prepare(graph, rules), lists, level)
    if options.json is not None:
        _write(options.json, {"format": 1, "rules": rules.identifier, **explanation.to_json()})
        return 0
    _show(console, explanation, rules.identifier)
    if options.nodes:
        _show_nodes(explanation)
    return 0


def _write(path: Path, content: dict[str, Any]) -> None:
    if path == _TO_OUTPUT:
        json.dump(content, sys.stdout, indent=1)
        print()
    else:
        write_json(path, content)


def _show(console: Console, explanation: Explanation, rules: str) -> None:
    effective = explanation.effective
    print(
        f"{rules}: {effective.nodes_16bit} of {len(explanation.nodes)} nodes in 16 bits, "
        f"{effective.casts} casts"
    )
    print(f"kernels: {explanation.kernel_source}")
    if explanation.skipped is not None:
        print(f"the pass leaves this graph alone: {explanation.skipped}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("op type", no_wrap=True)
    table.add_column("list")
    for title in ("nodes", "type attributes", "in 16 bits", "casts at its edges"):
        table.add_column(title, justify="right")
    by_size = sorted(explanation.op_types, key=lambda one: (-one.attributes_16bit, one.op))
    for one in by_size:
        figures = (one.nodes, one.attributes, one.attributes_16bit, one.casts.count)
        table.add_row(one.op, one.list, *map(str, figures))
    console.print(table)


def _show_nodes(explanation: Explanation) -> None:
    for node in explanation.nodes:
        if node.colour != "other":
            print(f"{node.name} ({node.op}, {node.list}): {node.reason}")
