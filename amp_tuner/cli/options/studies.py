"""Options of the verbs that read a study file."""

from __future__ import annotations

import argparse
from pathlib import Path

from amp_tuner.cli.options.common import (
    LISTS_HELP,
    MODEL_HELP,
    Verbs,
    add_batch_size,
    add_config,
    add_model,
    add_verb,
    duration_s,
    positive,
)

_RUN_EPILOG = """\
The output folder then holds: report.html (the page to look at first), pareto/*.yaml (the front),
best.env and best.py (the best setting, ready to use), trials.csv (one row a trial), log.jsonl (what
happened). The same command resumes a study that was killed or interrupted; totals (--trials,
--time-budget) are totals.

exit codes: 0 done; 1 nothing meets the accuracy goal, FP32 included; 2 bad input; 3 the target
cannot run the FP32 model; 130 interrupted, resumable
"""
_WORKER_EPILOG = """\
The same command goes on with what was interrupted. What another worker died of, or was cut off
from, is repeated by whoever sees it first. A study that fails here does not stop the others of
several; the exit code is then the largest that any of these gives.

exit codes: 0 the search is over; 2 bad input, or a machine that is not like the study's first; 3
the target cannot run the FP32 model; 130 interrupted, the database was away for too long, or nobody
led one of several studies: resumable
"""
_BATCH_EPILOG = """\
The time budget is shared: every study gets the same, but for those whose own search.time_budget is
less; what a study does not use goes to those after it. The same command goes on with a batch that
was interrupted: what ended is not run again, unless its study file or the time budget has changed.
The exit code is the largest that any of these gives.

exit codes: 0 every study ended with a best setting; 1 in a study nothing meets the accuracy goal,
FP32 included; 2 bad input: no study was run, or the input of one was bad when its turn came; 3 the
target of a study cannot run the FP32 model, or a study crashed or did not end; 130 interrupted, or
no time was left for a study: resumable
"""


def add_run(verbs: Verbs) -> None:
    """``amp-tune run``."""
    parser = add_verb(
        verbs,
        "run",
        "the study: propose, check accuracy, time, again (the default verb)",
        "Runs or resumes the study that a study file describes.",
        _RUN_EPILOG,
    )
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Those of ``amp-tune run``, which may be given without the verb."""
    add_config(parser)
    parser.add_argument("--trials", type=int, metavar="N", help="measured settings in all")
    parser.add_argument(
        "--time-budget", metavar="TIME", help="wall-clock time in all, such as 8h or 90m"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="another output folder")
    add_batch_size(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="move an old study aside and start anew"
    )
    _add_following(parser)


def _add_following(parser: argparse.ArgumentParser) -> None:
    """How a run is followed."""
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--quiet", action="store_true", help="print the result only")
    said.add_argument(
        "--json-progress",
        action="store_true",
        help="print what happens, the answer included, as log.jsonl holds it: one JSON object a "
        "line, and nothing else",
    )


def add_batch(verbs: Verbs) -> None:
    """``amp-tune batch``."""
    parser = add_verb(
        verbs,
        "batch",
        "many studies, one after the other, and one summary",
        "Runs the studies of several files on this machine, each as `amp-tune run` does. Every\n"
        "file is checked before the first study starts. A study that fails does not stop the\n"
        "others.",
        _BATCH_EPILOG,
    )
    parser.add_argument(
        "studies", type=Path, nargs="+", metavar="STUDY", help="a study file (YAML)"
    )
    parser.add_argument(
        "--time-budget",
        type=duration_s,
        metavar="TIME",
        help="wall-clock time of all studies and all their runs together, such as 8h",
    )
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="DIR",
        help="where summary.html and summary.json are written, after each study (default: batch)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="move all old studies aside and start anew"
    )
    parser.add_argument("--quiet", action="store_true", help="print the summary only")


def add_worker(verbs: Verbs) -> None:
    """``amp-tune worker``."""
    parser = add_verb(
        verbs,
        "worker",
        "measures for a study that is in a database, beside others",
        "Joins the study whose file names a database (storage), or begins it: measures FP32 on\n"
        "its own device, then settings, until the study's search is over. `amp-tune run` on one\n"
        "machine measures too, and publishes the answer. Of several studies each is joined when\n"
        "it is led: by `amp-tune batch` on one machine, whatever their order there.",
        _WORKER_EPILOG,
    )
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="the study file (YAML); several for a batch",
    )
    parser.add_argument(
        "--wait",
        type=duration_s,
        metavar="TIME",
        help="several studies: end when nobody has led any of those that are left for so long "
        "(default: 1h)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where this worker keeps its copy of the study (default: beside the study's own "
        "folder, with -worker-HOST-N at its end, N the first that nobody uses)",
    )
    _add_following(parser)


def add_init(verbs: Verbs) -> None:
    """``amp-tune init``."""
    parser = add_verb(
        verbs,
        "init",
        "a study file for a model, to start from",
        "Looks at a model and writes a commented study file: its signature, the data that it\n"
        "needs, a metric, the op types that can be tuned.",
    )
    add_model(parser, MODEL_HELP)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("study.yaml"),
        metavar="FILE",
        help="the new study file (default: study.yaml)",
    )


def add_check(verbs: Verbs) -> None:
    """``amp-tune check``."""
    parser = add_verb(
        verbs,
        "check",
        "do model, data, metric and target work? what does a trial cost?",
        "Validates everything, runs FP32 and default AMP once, and says what a trial costs and\n"
        "how many fit into the time budget. Writes nothing.",
    )
    add_config(parser)
    add_batch_size(parser)


def add_compare(verbs: Verbs) -> None:
    """``amp-tune compare``."""
    parser = add_verb(
        verbs,
        "compare",
        "head to head: FP32, default AMP and given settings",
        "Measures FP32, default AMP and the given settings, each paired with FP32, and prints a\n"
        "table with intervals. Writes nothing.",
    )
    add_config(parser)
    parser.add_argument(
        "--lists", type=Path, nargs="*", default=[], metavar="FILE", help=LISTS_HELP
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        nargs="+",
        metavar="N",
        help="measure at each of these batch sizes, and show latency (at 1) and throughput (at "
        "others) over FP32's (default: the study file's)",
    )
    parser.add_argument(
        "--processes",
        type=positive,
        metavar="N",
        help="time each setting in so many processes; one is fast and knows nothing of how "
        "processes differ (default: the study file's measure.processes)",
    )


def add_schema(verbs: Verbs) -> None:
    """``amp-tune schema``."""
    parser = add_verb(
        verbs,
        "schema",
        "the JSON Schema of study files, for editors",
        "Writes the JSON Schema of study files. An editor that knows it completes and checks\n"
        "keys; with the YAML language server a study file begins with\n\n"
        "    # yaml-language-server: $schema=study.schema.json",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where to (default: standard output)"
    )
