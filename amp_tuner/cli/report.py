"""``amp-tune report``: a finished study as a page, or several of them side by side."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from amp_tuner.cli.output import write_output
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder
from amp_tuner.report.runs_page import runs_page
from amp_tuner.report.study_folder import StudyFolder, read_study
from amp_tuner.report.study_page import study_page

_SEVERAL = Path("reports.html")


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: a folder holds no finished study or is broken, every one named; or the page
            cannot be written.
    """
    with working(make_console(), "making the page"):
        studies = _read(options.runs)
        text = study_page(studies[0]) if len(studies) == 1 else runs_page(studies)
    own = RunFolder(options.runs[0]).report if len(studies) == 1 else _SEVERAL
    path = options.output or own
    # Only what is put in a place that the user names is made to be handed on.
    write_output("--output", path, text, shared=options.output is not None)
    print(f"{path}: the report")
    return 0


def _read(runs: list[Path]) -> list[StudyFolder]:
    read = [_read_one(path) for path in runs]
    problems = [one.problems for one in read if isinstance(one, InputError)]
    if problems:
        raise InputError(chain.from_iterable(problems))
    return [one for one in read if isinstance(one, StudyFolder)]


def _read_one(path: Path) -> StudyFolder | InputError:
    try:
        return read_study(path)
    except InputError as error:
        return error
