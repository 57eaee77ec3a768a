"""The verbs of ``amp-tune``: what is typed, and which module runs it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from amp_tuner import __version__
from amp_tuner.cli.options.devices import add_bundle, add_ingest, add_profile_device
from amp_tuner.cli.options.models import add_inspect, add_rewrite
from amp_tuner.cli.options.results import add_dashboard, add_export, add_report, add_verify
from amp_tuner.cli.options.shells import add_completion
from amp_tuner.cli.options.studies import (
    add_batch,
    add_check,
    add_compare,
    add_init,
    add_run,
    add_schema,
    add_worker,
)

#: Verb to the module that runs it.
VERBS = {
    "run": "run",
    "batch": "batch",
    "worker": "worker",
    "init": "init_study",
    "check": "check",
    "inspect": "inspect_model",
    "rewrite": "rewrite_model",
    "export": "export",
    "compare": "compare",
    "verify": "verify",
    "schema": "schema",
    "profile-device": "profile_device",
    "bundle": "bundle",
    "ingest": "ingest",
    "report": "report",
    "dashboard": "dashboard",
    "completion": "completion",
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one command; ``verb`` says which. ``run`` may be left out."""
    words = list(arguments)
    if words and words[0] not in VERBS and not {"-h", "--help", "--version"} & {words[0]}:
        words.insert(0, "run")
    return command_parser().parse_args(words or ["--help"])


def command_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="amp-tune",
        description=(
            "Tunes the op lists of TensorFlow's automatic mixed precision: an Optuna study moves "
            "op types between ALLOW, INFER, CLEAR and DENY, and measures speed and accuracy of "
            "each setting on the target. `amp-tune --config study.yaml` is the main job."
        ),
        epilog="`amp-tune VERB --help` tells more about each verb.",
    )
    parser.add_argument("--version", action="version", version=f"amp-tune {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_run(verbs)
    add_batch(verbs)
    add_worker(verbs)
    add_init(verbs)
    add_check(verbs)
    add_inspect(verbs)
    add_rewrite(verbs)
    add_export(verbs)
    add_compare(verbs)
    add_verify(verbs)
    add_schema(verbs)
    add_profile_device(verbs)
    add_bundle(verbs)
    add_ingest(verbs)
    add_report(verbs)
    add_dashboard(verbs)
    add_completion(verbs)
    return parser
