"""``amp-tune profile-device``: a device profile of the CPU at hand, for runtime ``roofline``."""

from __future__ import annotations

import argparse
import sys

from amp_tuner.cli.output import write_output
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.measure.hardware import hardware_facts
from amp_tuner.roofline.measured import profile_text
from amp_tuner.target.loaded import empty_worker
from amp_tuner.worker.protocol import Threads

#: Not fewer than there are.
_BENCHMARKS = 100


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: the output cannot be written.
        TargetError: the interpreter is wrong, or has no TensorFlow.
    """
    facts = hardware_facts()
    threads = Threads(**(options.threads or {"intra_op": facts["usable_threads"], "inter_op": 1}))
    with (
        working(make_console(), "measuring the device"),
        empty_worker(options.python, threads) as worker,
    ):
        # Beside what a request may take anyway, since the user may ask for minutes.
        worker.timeout_s += _BENCHMARKS * options.seconds
        found = worker.micro_benchmarks(options.seconds)
        software = f"TensorFlow {worker.hello()['tensorflow']}"
    for data_type, cause in found["missing"].items():
        print(f"note: no {data_type}: {cause}", file=sys.stderr)
    text = profile_text(found, str(facts["cpu"] or "unknown CPU"), threads.intra_op, software)
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_output("--output", options.output, text)
    return 0
