"""Options of the verbs that use what a study has found."""

from __future__ import annotations

import argparse
from pathlib import Path

from amp_tuner.cli.options.common import Verbs, add_verb, positive, threads

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
_VERIFY_EPILOG = """\
The study's folder, its model and its data must be here; --model and --data say where.

exit codes: 0 valid; 1 stale: model, data, lists, threads or batch size changed, the conversion is
another one, the accuracy goal is not certainly met, or it is certainly slower; 2 bad input; 3 the
target cannot run the FP32 model; 4 other hardware or software than the point was measured on
"""


_DASHBOARD_EPILOG = "exit codes: 0 ended by Ctrl-C; 2 bad input"
_LARGEST_PORT = 65535


def add_export(verbs: Verbs) -> None:
    """``amp-tune export``."""
    parser = add_verb(
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


def add_verify(verbs: Verbs) -> None:
    """``amp-tune verify``."""
    parser = add_verb(
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
        "--threads", type=threads, metavar="INTRA,INTER", help="the deployment's thread pools"
    )
    parser.add_argument(
        "--batch-size", type=positive, metavar="N", help="the deployment's batch size"
    )
    parser.add_argument("--model", type=Path, metavar="PATH", help="where the model is here")
    parser.add_argument("--data", type=Path, metavar="FILE", help="where the data are here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as JSON (- prints)")


def add_report(verbs: Verbs) -> None:
    """``amp-tune report``."""
    parser = add_verb(
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


def add_dashboard(verbs: Verbs) -> None:
    """``amp-tune dashboard``."""
    parser = add_verb(
        verbs,
        "dashboard",
        "Optuna's dashboard on a study, also while it runs",
        "Serves optuna-dashboard (pip install 'amp-tuner[dashboard]') on a study, live while it\n"
        "runs. It only reads. Trials that do not certainly meet the accuracy goal are shown as\n"
        "infeasible (grey in the front; attribute `accuracy goal`), and best are those of the\n"
        "others that none beats, by the search's own figures: intervals, ties and what was\n"
        "measured again are in the report. A trial that the accuracy check ended was never\n"
        "timed, and has speed-up 1.",
        _DASHBOARD_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the study's output folder")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1); whoever reaches it reads the study",
    )
    parser.add_argument(
        "--port", type=_port, default=8080, metavar="N", help="0: any free one (default: 8080)"
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number up to {_LARGEST_PORT}")
    return int(text)
