"""Options of the verbs for devices that are elsewhere, or are modelled."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from amp_tuner.cli.options.common import Verbs, add_config, add_verb, positive, threads
from amp_tuner.config.quantities import parse_size

#: Of one micro-benchmark.
_LONGEST_S = 60.0

#: Less is mostly the program that reads the part.
LEAST_PART_BYTES = 1 << 20
_INGEST_EPILOG = """\
exit codes: 0 done; 1 nothing meets the accuracy goal, FP32 included; 2 bad input: results of
another bundle or study, altered, of other hardware or software, or taken in before; 130 interrupted
"""


def add_bundle(verbs: Verbs) -> None:
    """``amp-tune bundle``."""
    parser = add_verb(
        verbs,
        "bundle",
        "a device that cannot be reached from here: write what it is to measure",
        "Writes FP32, default AMP and N proposals of the study as files (runtime xla) for a\n"
        "machine that has JAX and no TensorFlow, no tuner and no network. There,\n"
        "`python run_bundle.py` measures them; here, `amp-tune ingest` takes in the results.\n"
        "Bundles can follow each other as often as one likes.",
    )
    add_config(parser)
    parser.add_argument(
        "--trials",
        type=positive,
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


def add_ingest(verbs: Verbs) -> None:
    """``amp-tune ingest``."""
    parser = add_verb(
        verbs,
        "ingest",
        "take in the results that a bundle came back with",
        "Scores the outputs of a results file, tells the study, and publishes front and best.",
        _INGEST_EPILOG,
    )
    add_config(parser)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="what run_bundle.py wrote")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def add_profile_device(verbs: Verbs) -> None:
    """``amp-tune profile-device``."""
    parser = add_verb(
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
        "--threads", type=threads, metavar="INTRA,INTER", help="thread pools (default: all, 1)"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=1.0,
        metavar="S",
        help="of each of some sixty benchmarks (default: 1)",
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


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_LONGEST_S:g}")
    return seconds
