"""``amp-tune completion``: a shell's script, which shtab makes of the parser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import shtab

from amp_tuner.cli.arguments import command_parser
from amp_tuner.cli.options.studies import add_run_options

_STUDY_FILES = shtab.glob("*.yaml", "*.yml")
_FOLDERS = ("DIR", "RUN")


def run(options: argparse.Namespace) -> int:
    """Runs the verb."""
    parser = command_parser()
    # Who leaves `run` out wants its options all the same.
    add_run_options(parser)
    _name_files(parser)
    sys.stdout.write(shtab.complete(parser, options.shell) + "\n")
    return 0


def _name_files(parser: argparse.ArgumentParser) -> None:
    """Says which values are files and which are folders, of a parser and of its verbs."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - nor a public name
            for verb in action.choices.values():
                _name_files(verb)
        elif action.dest in ("config", "studies"):
            action.complete = _STUDY_FILES  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.type is Path or action.metavar == "PATH":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
