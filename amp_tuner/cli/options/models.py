"""Options of the verbs that look at a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from amp_tuner.cli.options.common import MODEL_HELP, Verbs, add_model, add_rules, add_verb, positive


def add_inspect(verbs: Verbs) -> None:
    """``amp-tune inspect``."""
    parser = add_verb(
        verbs,
        "inspect",
        "what a setting does to a model: op types, lists, colours, casts, reasons",
        "Shows what mixed precision does to a model, without running it: what became 16-bit,\n"
        "what stayed FP32 though it need not, what the casts cost; for every node the rule and\n"
        "the node that decided; which single moves between the lists would change anything.",
    )
    add_model(parser, MODEL_HELP + "; also the log folder of a real pass (…_LOG_PATH)")
    add_rules(parser, required=False)
    parser.add_argument("--nodes", action="store_true", help="one line a node, with the reason")
    parser.add_argument(
        "--moves",
        action="store_true",
        help="every move of one op type to another list that changes the graph, best first",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=1,
        metavar="N",
        help="for the bytes that casts touch, where the model leaves it free (default: 1)",
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="a page that draws the graph; needs no network"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as JSON (- prints)")


def add_rewrite(verbs: Verbs) -> None:
    """``amp-tune rewrite``."""
    parser = add_verb(
        verbs,
        "rewrite",
        "bake a setting into a model that needs no variables and no plug-in",
        "Rewrites a model exactly as the pass would, and saves the result.",
    )
    add_model(parser, MODEL_HELP)
    add_rules(parser, required=True)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="a new SavedModel folder, or a GraphDef where it ends in .pb",
    )
    parser.add_argument(
        "--log-path",
        type=Path,
        metavar="DIR",
        help="also leave there the five files that the real pass leaves: graph before and after, "
        "lists",
    )
    parser.add_argument(
        "--fold-weights",
        action=argparse.BooleanOptionalAction,
        help="store painted weights in 16 bits (default: yes for a SavedModel, no for .pb)",
    )
