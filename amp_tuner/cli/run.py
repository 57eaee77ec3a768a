"""``amp-tune run``: the study, from the file to the answer."""

from __future__ import annotations

import argparse
from typing import Any

from amp_tuner.api.running import Ended, run_study
from amp_tuner.cli.following import Following, follower
from amp_tuner.cli.rows import point_row
from amp_tuner.cli.terminal import comparison
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.study.progress import Progress


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        KeyboardInterrupt: after everything that is known was written.
    """
    config = load_study(options.config, overrides=_overrides(options))
    following = follower(quiet=options.quiet, json_progress=options.json_progress)
    with following.shown():
        ended = run_study(config, following, fresh=options.fresh)
    show(ended, config, following)
    return ended.exit_code


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    given = {
        "search.trials": options.trials,
        "search.time_budget": options.time_budget,
        "data.batch_size": options.batch_size,
        "output": None if options.output is None else str(options.output.absolute()),
    }
    return {key: value for key, value in given.items() if value is not None}


def show(ended: Ended, config: StudyConfig, following: Following) -> None:
    """Shows what a study says."""
    answer = ended.answer
    rows = [point_row(name, point) for name, point in answer.table]
    counts = f"{_counted(ended.progress)}. Everything is in {ended.folder.root}"
    following.result(comparison(rows, config.accuracy.metric), (answer.conclusion, counts))


def _counted(progress: Progress) -> str:
    """Every proposal by what became of it; what none came to is left out, but failures."""
    named = {
        "measured": progress.measured,
        "told the result of an equal graph": progress.cached,
        "refused by the pass": progress.refused,
        "quarantined": progress.quarantined,
        "failed": progress.failed,
    }
    kept = {name: count for name, count in named.items() if count or name in ("measured", "failed")}
    parts = ", ".join(f"{count} {name}" for name, count in kept.items())
    return f"{sum(named.values())} proposals: {parts}"
