"""``amp-tune schema``: the JSON Schema of study files."""

from __future__ import annotations

import argparse
import json
import sys

from amp_tuner.cli.output import write_output
from amp_tuner.config.schema import study_schema


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: the file cannot be written.
    """
    text = json.dumps(study_schema(), indent=2) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_output("--output", options.output, text)
    return 0
