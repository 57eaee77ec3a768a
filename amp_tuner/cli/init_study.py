"""``amp-tune init``: a commented study file for a model, after looking at it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from amp_tuner.amp.rules import default_rules, rule_set
from amp_tuner.cli.model_worker import named_model
from amp_tuner.cli.output import write_output
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.config.template import Draft, study_template
from amp_tuner.errors import InputError
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.rewrite.tunable import tunable_op_types
from amp_tuner.target.loaded import empty_worker
from amp_tuner.worker.protocol import LoadedModel, ModelSource


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: the model is wrong, or the study file exists.
        TargetError: no TensorFlow to read the model with.
    """
    output: Path = options.output
    if output.exists():
        raise InputError.one("--output", f"{output} exists; name a new file")
    rules = [rule_set(name).identifier for name in default_rules("engine", "cpu").values()]
    source = named_model(options)
    with working(make_console(), "loading the model"), empty_worker(options.python) as worker:
        loaded = worker.load(source, None, "engine", "cpu")
        graphs = worker.describe(rules)
    draft = _draft(source, options.output, loaded, graphs)
    write_output("--output", output, study_template(draft))
    print(f"{output} is a study of {options.model}; it says how to make the data that it needs")
    return 0


def _draft(
    source: ModelSource, output: Path, loaded: LoadedModel, graphs: dict[str, TypedGraph]
) -> Draft:
    found = {
        op_type
        for name, graph in graphs.items()
        for op_type in tunable_op_types(prepare(graph, rule_set(name)))
    }
    return Draft(
        file=output.name,
        model=os.path.relpath(source.path, output.absolute().parent),
        signature=source.signature if Path(source.path).is_dir() else "",
        fetches=source.fetches,
        allow_unsafe=source.allow_unsafe,
        loaded=loaded,
        op_types=tuple(sorted(found)),
    )
