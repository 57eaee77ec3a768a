"""The references of verbs and of exit codes, from the parsers of the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence

from amp_tuner.cli.arguments import command_parser
from amp_tuner.errors import InputError, TargetError
from docs.generate.markdown import code, table

_VERBS_INTRO = """\
# Verbs

`amp-tune --config study.yaml` is the main job, the same as `amp-tune run --config study.yaml`.
`amp-tune VERB --help` says on a terminal what this page says. What a verb's end means is in
[Exit codes](exit-codes.md).
"""


def _parsers() -> Mapping[str, argparse.ArgumentParser]:
    """The parser of each verb, in the order in which ``--help`` lists them."""
    for action in command_parser()._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    raise AssertionError("no verbs")


def verbs() -> str:
    """The page of verbs."""
    return _VERBS_INTRO + "".join(_verb(name, parser) for name, parser in _parsers().items())


def _verb(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [one for one in parser._actions if one.dest != "help"]  # noqa: SLF001
    words = " ".join([f"amp-tune {name}", *map(_usage, actions)])
    rows = ((code(_written(one)), _about(one)) for one in actions)
    epilog = f"\n```text\n{parser.epilog.strip()}\n```\n" if parser.epilog else ""
    return (
        f"\n## {name}\n\n{_paragraphs(parser.description or '')}\n\n```text\n{words}\n```\n\n"
        f"{table(('argument', 'what it is'), rows)}{epilog}"
    )


def _paragraphs(text: str) -> str:
    """Prose as it stands; what is indented becomes a block."""
    parts = [
        f"```text\n{part.strip()}\n```" if part.startswith("    ") else part
        for part in text.split("\n\n")
    ]
    return "\n\n".join(parts)


def _metavar(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.metavar is not None:
        return str(action.metavar)
    return action.dest.upper()


def _many(action: argparse.Action) -> str:
    return {"+": "…", "*": "…"}.get(str(action.nargs), "")


def _written(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    value = f"{_metavar(action)}{_many(action)}"
    return f"{names} {value}".strip()


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"{_metavar(action)}{_many(action)}"
    names = "|".join(action.option_strings)
    word = f"{names} {_metavar(action)}{_many(action)}".strip()
    return word if action.required else f"[{word}]"


def _about(action: argparse.Action) -> str:
    about = (action.help or "").replace("%%", "%")
    if action.choices is not None:
        about += f": {', '.join(code(str(one)) for one in action.choices)}"
    return about


_EXIT_INTRO = """\
# Exit codes

| code | what it means |
| --- | --- |
| 0 | done; of a study also where FP32 is the best setting |
| 1 | a study ended and nothing meets the accuracy goal, FP32 included; `verify`: stale |
| {input} | bad input: study file, model, data or options; every problem is told at once |
| {target} | the target cannot run: no such interpreter, no TensorFlow in it, the FP32 model fails |
| 4 | `verify` alone: other hardware or software |
| 130 | interrupted (Ctrl-C, SIGTERM); the same command resumes a study |

A trial that fails, whatever its cause, never ends a study: it is a row of `trials.csv`. The other
verbs end with 0, 2, 3 or 130.

## Verbs with codes of their own

"""


def exit_codes() -> str:
    """The page of exit codes."""
    intro = _EXIT_INTRO.format(input=InputError.exit_code, target=TargetError.exit_code)

    def rows() -> Iterator[Sequence[str]]:
        for name, parser in _parsers().items():
            for number, meaning in _told(parser.epilog or ""):
                yield code(name), number, meaning

    return intro + table(("verb", "code", "what it means"), rows())


def _told(epilog: str) -> Iterator[tuple[str, str]]:
    """Codes and meanings in a verb's closing words: ``exit codes: 0 done; 1 …``."""
    _, _, told = epilog.partition("exit codes: ")
    for part in " ".join(told.split()).split("; "):
        found = re.fullmatch(r"(\d+) (.*)", part)
        if found is not None:
            yield found[1], found[2]
