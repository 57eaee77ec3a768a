"""``amp-tune rewrite``: a setting, baked into a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from amp_tuner.cli.model_worker import check_op_types, model_worker, rules_and_lists
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.errors import InputError
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.worker.protocol import Candidate

_KEY = "rewritten"


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: model, rule set, lists or output are wrong.
        RewriteError: the real pass fails on these lists.
        TargetError: no TensorFlow to read the model with.
    """
    output: Path = options.output
    if output.exists():
        raise InputError.one("--output", f"{output} exists; name a new path")
    rules, lists, level = rules_and_lists(options)
    if lists.nodes and options.log_path is not None:
        message = (
            f"a pass's log knows op types only, and {min(lists.nodes)} moves a node; leave it out"
        )
        raise InputError.one("--log-path", message)
    form = "pb" if output.suffix == ".pb" else "saved_model"
    fold = form == "saved_model" if options.fold_weights is None else options.fold_weights
    with working(make_console(), "rewriting"), model_worker(options) as worker:
        graph = worker.describe([rules.identifier])[rules.identifier]
        check_op_types(options, graph)
        prepared = prepare(graph, rules)
        effective = effective_graph(prepared, paint(prepared, lists, level))
        worker.build(_KEY, Candidate(rules.data_type, rules.identifier, lists, level))
        worker.save(_KEY, output.absolute(), form, fold_weights=fold)
        if options.log_path is not None:
            worker.save(_KEY, options.log_path.absolute(), "log", fold_weights=False)
    print(
        f"{output}: {effective.nodes_16bit} of {len(graph.nodes)} nodes in 16 bits, "
        f"{effective.casts} casts{', weights folded' if fold else ''}"
    )
    return 0
