"""``amp-tune worker``: measures for a study that is in a database."""

from __future__ import annotations

import argparse

from amp_tuner.api.joining import run_worker
from amp_tuner.cli.following import follower
from amp_tuner.config.load import load_study


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        StorageLost: the database was gone for too long.
        KeyboardInterrupt: the same command goes on.
    """
    config = load_study(options.config)
    following = follower(quiet=options.quiet, json_progress=options.json_progress)
    output = None if options.output is None else options.output.absolute()
    with following.shown():
        worked = run_worker(config, following, output=output)
    following.answer((worked.sentence(), f"Its copy of the study is in {worked.folder.root}"))
    return 0
