"""Every verb and option of ``amp-tune``, with the help that users read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from amp_tuner import __version__
from amp_tuner.config.quantities import parse_size

#: Verb to the module that runs it.
VERBS = {
    "run": "run",
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
}

#: Of one micro-benchmark.
_LONGEST_S = 60.0

_RUN_EPILOG = """\
The output folder then holds: report.html (the page to look at first), pareto/*.yaml (the front),
best.env and best.py (the best setting, ready to use), trials.csv (one row a trial), log.jsonl (what
happened). The same command resumes a study that was killed or interrupted; totals (--trials,
--time-budget) are totals.

exit codes: 0 done; 1 nothing meets the accuracy goal, FP32 included; 2 bad input; 3 the target
cannot run the FP32 model; 130 interrupted, resumable
"""
_VERIFY_EPILOG = """\
The study's folder, its model and its data must be here; --model and --data say where.

exit codes: 0 valid; 1 stale: model, data, lists, threads or batch size changed, the conversion is
another one, the accuracy goal is not certainly met, or it is certainly slower; 2 bad input; 3 the
target cannot run the FP32 model; 4 other hardware or software than the point was measured on
"""
EXPORT_FORMATS = (
    *("env", "python", "itex-python", "docker", "kubernetes", "tf-serving"),
    *("savedmodel", "yaml"),
)
_EXPORT_EPILOG = """\
formats:
  env          variables, to be sourced by a shell
  python       a module: apply() switches the pass on, load() gives the baked model
  itex-python  the same with the Python API of Intel Extension for TensorFlow
  docker       variables for `docker run --env-file` and for systemd's EnvironmentFile=
  kubernetes   variables as a ConfigMap
  tf-serving   a folder: the model, the session's configuration, variables, a start script
  savedmodel   the baked model, which needs no variables and no plug-in
  yaml         the point itself, with all its figures

docker, kubernetes and tf-serving give what was measured: for runtime engine what stands around the
baked model. --runtime tensorflow or itex gives that family's variables instead.
"""
_INGEST_EPILOG = """\
exit codes: 0 done; 1 nothing meets the accuracy goal, FP32 included; 2 bad input: results of
another bundle or study, altered, of other hardware or software, or taken in before; 130 interrupted
"""
#: Less is mostly the program that reads the part.
LEAST_PART_BYTES = 1 << 20
_LISTS_HELP = (
    "a YAML file with `moves: {OpType: allow|infer|clear|deny|none}` (each op type goes to that "
    "list and leaves the one it was in); a point of a front (pareto/NNN.yaml) is one"
)
_MODEL_HELP = "a SavedModel folder, a .keras or .h5 file, or a frozen GraphDef .pb"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one command; ``verb`` says which. ``run`` may be left out."""
    words = list(arguments)
    if words and words[0] not in VERBS and not {"-h", "--help", "--version"} & {words[0]}:
        words.insert(0, "run")
    return _parser().parse_args(words or ["--help"])


def _parser() -> argparse.ArgumentParser:
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
    _add_run(verbs)
    _add_init(verbs)
    _add_check(verbs)
    _add_inspect(verbs)
    _add_rewrite(verbs)
    _add_export(verbs)
    _add_compare(verbs)
    _add_verify(verbs)
    _add_schema(verbs)
    _add_profile_device(verbs)
    _add_bundle(verbs)
    _add_ingest(verbs)
    _add_report(verbs)
    return parser


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the study file (YAML)"
    )


def _add_batch_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size", type=_positive, metavar="N", help="another batch size than the study file's"
    )


def _add_run(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "run",
        "the study: propose, check accuracy, time, again (the default verb)",
        "Runs or resumes the study that a study file describes.",
        _RUN_EPILOG,
    )
    _add_config(parser)
    parser.add_argument("--trials", type=int, metavar="N", help="measured settings in all")
    parser.add_argument(
        "--time-budget", metavar="TIME", help="wall-clock time in all, such as 8h or 90m"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="another output folder")
    _add_batch_size(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="move an old study aside and start anew"
    )
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def _add_init(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "init",
        "a study file for a model, to start from",
        "Looks at a model and writes a commented study file: its signature, the data that it\n"
        "needs, a metric, the op types that can be tuned.",
    )
    _add_model(parser, _MODEL_HELP)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("study.yaml"),
        metavar="FILE",
        help="the new study file (default: study.yaml)",
    )


def _add_check(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "check",
        "do model, data, metric and target work? what does a trial cost?",
        "Validates everything, runs FP32 and default AMP once, and says what a trial costs and\n"
        "how many fit into the time budget. Writes nothing.",
    )
    _add_config(parser)
    _add_batch_size(parser)


def _add_inspect(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "inspect",
        "what a setting does to a model: op types, lists, colours, casts, reasons",
        "Shows what mixed precision does to a model, without running it: what became 16-bit,\n"
        "what stayed FP32 though it need not, what the casts cost; for every node the rule and\n"
        "the node that decided; which single moves between the lists would change anything.",
    )
    _add_model(parser, _MODEL_HELP + "; also the log folder of a real pass (…_LOG_PATH)")
    _add_rules(parser, required=False)
    parser.add_argument("--nodes", action="store_true", help="one line a node, with the reason")
    parser.add_argument(
        "--moves",
        action="store_true",
        help="every move of one op type to another list that changes the graph, best first",
    )
    parser.add_argument(
        "--batch-size",
        type=_positive,
        default=1,
        metavar="N",
        help="for the bytes that casts touch, where the model leaves it free (default: 1)",
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="a page that draws the graph; needs no network"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as JSON (- prints)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _add_rewrite(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "rewrite",
        "bake a setting into a model that needs no variables and no plug-in",
        "Rewrites a model exactly as the pass would, and saves the result.",
    )
    _add_model(parser, _MODEL_HELP)
    _add_rules(parser, required=True)
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


def _add_export(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "export",
        "one point of a front, ready to use",
        "Writes one point of a finished study, for a shell, a program, a container or a server.",
        _EXPORT_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the study's output folder")
    parser.add_argument(
        "--point",
        default="best",
        metavar="P",
        help="best, knee, fastest, safest, or a trial's number (default: best)",
    )
    parser.add_argument(
        "--format", required=True, choices=EXPORT_FORMATS, metavar="F", help="what, as below"
    )
    parser.add_argument(
        "--runtime",
        choices=("tensorflow", "itex"),
        help="the family of variables; one that was not measured is labelled as predicted",
    )
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="where to (default: standard output)"
    )


def _add_compare(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "compare",
        "head to head: FP32, default AMP and given settings",
        "Measures FP32, default AMP and the given settings, each paired with FP32, and prints a\n"
        "table with intervals. Writes nothing.",
    )
    _add_config(parser)
    parser.add_argument(
        "--lists", type=Path, nargs="*", default=[], metavar="FILE", help=_LISTS_HELP
    )
    parser.add_argument(
        "--batch-size",
        type=_positive,
        nargs="+",
        metavar="N",
        help="measure at each of these batch sizes, and show latency (at 1) and throughput (at "
        "others) over FP32's (default: the study file's)",
    )


def _add_verify(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "verify",
        "does a published point still hold here?",
        "Runs the pass with a point's setting in the environment that it is deployed to, compares\n"
        "the conversion with the prediction, and measures accuracy and speed-up again.",
        _VERIFY_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the study's output folder")
    parser.add_argument(
        "--point",
        default="best",
        metavar="P",
        help="best, knee, fastest, safest, a trial's number, or a point's .yaml (default: best)",
    )
    parser.add_argument(
        "--runtime",
        choices=("engine", "tensorflow", "itex"),
        help="whose pass is run (default: the one that was measured)",
    )
    parser.add_argument("--python", metavar="PATH", help="the deployment's interpreter")
    parser.add_argument(
        "--threads", type=_threads, metavar="INTRA,INTER", help="the deployment's thread pools"
    )
    parser.add_argument(
        "--batch-size", type=_positive, metavar="N", help="the deployment's batch size"
    )
    parser.add_argument("--model", type=Path, metavar="PATH", help="where the model is here")
    parser.add_argument("--data", type=Path, metavar="FILE", help="where the data are here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as JSON (- prints)")


def _add_schema(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
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


def _add_profile_device(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "profile-device",
        "a device profile of this CPU, for runtime roofline",
        "Measures rates, bandwidths and overheads of the CPU at hand with single ops, and writes\n"
        "them as a device profile (target.profile). Nothing else should run meanwhile.",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where to (default: standard output)"
    )
    parser.add_argument("--python", metavar="PATH", help="the interpreter that has TensorFlow")
    parser.add_argument(
        "--threads", type=_threads, metavar="INTRA,INTER", help="thread pools (default: all, 1)"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=0.5,
        metavar="S",
        help="of each of some forty benchmarks (default: 0.5)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_LONGEST_S:g}")
    return seconds


def _add_bundle(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "bundle",
        "a device that cannot be reached from here: write what it is to measure",
        "Writes FP32, default AMP and N proposals of the study as files (runtime xla) for a\n"
        "machine that has JAX and no TensorFlow, no tuner and no network. There,\n"
        "`python run_bundle.py` measures them; here, `amp-tune ingest` takes in the results.\n"
        "Bundles can follow each other as often as one likes.",
    )
    _add_config(parser)
    parser.add_argument(
        "--trials",
        type=_positive,
        required=True,
        metavar="N",
        help="settings beside the references",
    )
    parser.add_argument(
        "--part-size",
        type=_part_bytes,
        default="48MiB",
        metavar="SIZE",
        help="what a file of the bundle may take, from 1MiB on (default: 48MiB)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="a new folder (default: the study's output folder with -bundle-NNN behind it)",
    )
    parser.add_argument(
        "--stablehlo",
        type=_version,
        metavar="VERSION",
        help="the newest StableHLO that the device machine's JAX reads, such as 1.9.0 (default: "
        "what it said in the last round; in the first, what TensorFlow writes)",
    )


def _part_bytes(text: str) -> int:
    try:
        size_bytes = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; allowed: {error}") from error
    if size_bytes < LEAST_PART_BYTES:
        raise argparse.ArgumentTypeError(f"{text} is too small; allowed: 1MiB or more")
    return size_bytes


def _version(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}", text, re.ASCII) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no version; allowed: such as 1.9.0")
    return text


def _add_ingest(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "ingest",
        "take in the results that a bundle came back with",
        "Scores the outputs of a results file, tells the study, and publishes front and best.",
        _INGEST_EPILOG,
    )
    _add_config(parser)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="what run_bundle.py wrote")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def _add_report(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs,
        "report",
        "a finished study as a page; of several studies, side by side",
        "Writes the report of a finished study, as its run did at the end; of several studies one\n"
        "page that holds them side by side. A page is one file that needs no network.",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a study's output folder")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to (default: RUN/report.html; for several, reports.html here)",
    )


def _threads(text: str) -> dict[str, int]:
    sizes = text.split(",")
    if len(sizes) != 2 or not all(size.isdecimal() for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not INTRA,INTER, such as 2,1")
    return {"intra_op": int(sizes[0]), "inter_op": int(sizes[1])}


def _add_model(parser: argparse.ArgumentParser, about: str) -> None:
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


def _add_rules(parser: argparse.ArgumentParser, *, required: bool) -> None:
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
        help=_LISTS_HELP + "; or a .env file with the pass's variables, read as the pass does",
    )
