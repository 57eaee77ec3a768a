"""A worker that was placed on some device: ``python -m amp_tuner.cli.placed PID``.

PID is whoever started it. The study comes on standard input, as JSON: ``config``, its keys;
``study_file``, whose folder relative names of functions start at; ``number``, the worker's. It ends
as ``amp-tune worker`` does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amp_tuner.api.joining import run_worker
from amp_tuner.cli.main import answered
from amp_tuner.cli.parent import stop_with
from amp_tuner.config.load import check_study
from amp_tuner.output.folder import RunFolder
from amp_tuner.results.event_log import Event


class _Nobody:
    """Follows nothing: the worker's own log has it all."""

    def follow(self, event: Event) -> None:
        """Nothing."""

    def recall(self, ended: Iterable[Mapping[str, Any]]) -> None:
        """Nothing."""


def _work() -> int:
    told = json.load(sys.stdin)
    config = check_study(told["config"], Path(told["study_file"]))
    # Within the study's own folder: what is moved aside is moved aside with it.
    output = RunFolder(config.output).workers / str(told["number"])
    print(run_worker(config, _Nobody(), output=output).sentence(), file=sys.stderr)
    return 0


if __name__ == "__main__":
    stop_with(int(sys.argv[1]))
    sys.exit(answered(_work))
