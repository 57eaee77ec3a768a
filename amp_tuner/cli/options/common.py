"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from amp_tuner.config.quantities import parse_duration

#: What ``add_subparsers`` gives; argparse has no public name for it.
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

LISTS_HELP = (
    "a YAML file with `moves: {OpType: allow|infer|clear|deny|none}` (each op type, or node:NAME, "
    "goes to that list and leaves the one it was in); a point of a front (pareto/NNN.yaml) is one"
)
MODEL_HELP = "a SavedModel folder, a .keras or .h5 file, or a frozen GraphDef .pb"


def add_verb(
    verbs: Verbs,
    name: str,
    summary: str,
    description: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    """A verb's parser; its description and epilog stand as they are written."""
    return verbs.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """The study file."""
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the study file (YAML)"
    )


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """Another batch size than the study file's."""
    parser.add_argument(
        "--batch-size", type=positive, metavar="N", help="another batch size than the study file's"
    )


def add_model(parser: argparse.ArgumentParser, about: str) -> None:
    """A model, and how it is read."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=about)
    parser.add_argument("--signature", default="serving_default", help="a SavedModel's signature")
    parser.add_argument(
        "--fetch", default="", metavar="NAME,…", help=".pb: nodes to fetch (default: all ends)"
    )
    parser.add_argument("--python", metavar="PATH", help="the interpreter that has TensorFlow")
    parser.add_argument(
        "--default-device",
        choices=("CPU", "GPU"),
        help="where nodes without a device would run (default: the rule set's device)",
    )
    parser.add_argument(
        "--allow-unsafe",
        action="store_true",
        help="load models with Lambda layers, PyFunc or file ops (they can run any code)",
    )


def add_rules(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """A pass to follow, and lists to follow it with."""
    parser.add_argument(
        "--rules",
        required=required,
        metavar="R",
        help="the pass to follow, such as tf-cpu-bfloat16, tf-cpu-float16@2.15, itex-cpu-bfloat16"
        + (
            ""
            if required
            else " (default: tf-cpu-bfloat16; of a log folder: the one that wrote it)"
        ),
    )
    parser.add_argument(
        "--lists",
        type=Path,
        metavar="FILE",
        help=LISTS_HELP + "; or a .env file with the pass's variables, read as the pass does",
    )


def duration_s(text: str) -> float:
    """A time such as ``8h``, in seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; allowed: {error}") from error


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def threads(text: str) -> dict[str, int]:
    """``INTRA,INTER`` as the study file's ``target.threads``."""
    sizes = text.split(",")
    if len(sizes) != 2 or not all(size.isdecimal() for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not INTRA,INTER, such as 2,1")
    return {"intra_op": int(sizes[0]), "inter_op": int(sizes[1])}
