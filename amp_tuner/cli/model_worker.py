"""A worker for the verbs that look at a model without a study."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator

from amp_tuner.amp.environment import from_environment
from amp_tuner.amp.environment_traps import explain_environment
from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.errors import InputError, Problem
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.results.environment_reader import read_environment
from amp_tuner.results.points import read_lists
from amp_tuner.study.planning import move_problems
from amp_tuner.target.loaded import loaded_worker
from amp_tuner.text import one_line
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import ModelSource

DEFAULT_RULES = "tf-cpu-bfloat16"


@contextlib.contextmanager
def model_worker(options: argparse.Namespace) -> Iterator[WorkerClient]:
    """A worker that has loaded the model which the command line names.

    Raises:
        InputError: the model is wrong.
        TargetError: the interpreter is, or has no TensorFlow.
    """
    device = (options.default_device or "cpu").lower()
    with loaded_worker(named_model(options), options.python, device) as worker:
        yield worker


def named_model(options: argparse.Namespace) -> ModelSource:
    """The model that the command line names."""
    fetches = tuple(name for name in options.fetch.split(",") if name)
    path = str(options.model.absolute())
    return ModelSource(path, options.signature, fetches, options.allow_unsafe)


def rules_and_lists(options: argparse.Namespace) -> tuple[RuleSet, AmpLists, str]:
    """The rule set, the lists and the level that the command line asks for.

    Raises:
        InputError: no such rule set, or a bad list file, or one for another data type.
        RewriteError: the pass rejects the variables in the file.
    """
    rules = rule_set(options.rules or DEFAULT_RULES)
    if options.lists is None:
        return rules, rules.lists, "default"
    if _is_environment(options):
        return rules, *from_environment(rules, read_environment(options.lists))
    given = read_lists(options.lists)
    if given.data_type not in (None, rules.data_type):
        message = (
            f"holds a setting for {given.data_type}, but {rules.identifier} is for "
            f"{rules.data_type}"
        )
        raise InputError([Problem(str(options.lists), message)])
    return rules, rules.lists.moved(given.moves), given.level


def _is_environment(options: argparse.Namespace) -> bool:
    return options.lists is not None and options.lists.suffix == ".env"


def check_op_types(options: argparse.Namespace, graph: TypedGraph) -> None:
    """Refuses moves of what the graph does not have; tells the traps of variables.

    The pass takes variables that name op types which do not exist, so those are only told.

    Raises:
        InputError: every one of them, with what was probably meant.
    """
    if _is_environment(options):
        rules = rule_set(options.rules or DEFAULT_RULES)
        present = {node.op for node in graph.nodes}
        for warning in explain_environment(rules, read_environment(options.lists), present):
            print(one_line(f"{options.lists}: {warning}"), file=sys.stderr)
    elif options.lists is not None:
        problems = move_problems(str(options.lists), read_lists(options.lists).moves, [graph])
        if problems:
            raise InputError(problems)
