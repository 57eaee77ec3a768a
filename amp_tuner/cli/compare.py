"""``amp-tune compare``: head to head, each paired with FP32."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from amp_tuner.cli.rows import compared_row
from amp_tuner.cli.terminal import comparison, make_console, working
from amp_tuner.comparing import compare
from amp_tuner.config.load import load_study
from amp_tuner.records import Setting
from amp_tuner.results.points import read_lists
from amp_tuner.session import Session, open_session


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: FP32 cannot run on this target.
    """
    console = make_console()
    config = load_study(options.config)
    given = {path: read_lists(path) for path in options.lists}
    with tempfile.TemporaryDirectory(prefix="amp-tune-") as work:
        with working(console, "starting a worker, loading the model"):
            session = open_session(config, Path(work))
        try:
            session.planner.check_moves({path: lists.moves for path, lists in given.items()})
            settings = _settings(session, given)
            with working(console, "measuring"):
                compared = list(compare(session, settings))
        finally:
            session.bench.close()
    console.print(comparison([compared_row(one) for one in compared], config.accuracy.metric))
    for notice in session.notices:
        console.print(f"note: {notice}", markup=False)
    return 0
