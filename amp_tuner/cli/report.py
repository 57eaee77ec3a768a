"""``amp-tune report``: a finished study as a page, or several of them side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from amp_tuner.cli.output import write_output
from amp_tuner.cli.terminal import make_console, working
from amp_tuner.errors import InputError, Problem
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
    write_output("--output", path, text)
    print(f"{path}: the report")
    return 0


def _read(runs: list[Path]) -> list[StudyFolder]:
    studies: list[StudyFolder] = []
    problems: list[Problem] = []
    for path in runs:
        try:
            studies.append(read_study(path))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return studies
