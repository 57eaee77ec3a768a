"""``amp-tune worker``: measures for a study that is in a database, or for several in turn."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace

from rich.text import Text

from amp_tuner.api.joining import run_worker
from amp_tuner.batch.led import LedStudies
from amp_tuner.batch.process import run_process
from amp_tuner.batch.standing import Standing, cause_of, exit_code_of, state_of
from amp_tuner.batch.studies import load_studies
from amp_tuner.cli.following import follower
from amp_tuner.cli.one_study import command
from amp_tuner.cli.terminal import make_console
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.text import duration, printable

#: As long as whoever leads a batch may take between two searches: confirming, studies that fail.
_WAIT_S = 3600.0


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: the target cannot run the FP32 model.
        StorageLost: the database was gone for too long.
        KeyboardInterrupt: the same command goes on.
    """
    if len(options.config) > 1:
        return _several(options)
    if options.wait is not None:
        raise InputError.one("--wait", "is for several studies; a single one is joined at once")
    (path,) = options.config
    config = load_study(path)
    following = follower(quiet=options.quiet, json_progress=options.json_progress)
    output = None if options.output is None else options.output.absolute()
    with following.shown():
        worked = run_worker(config, following, output=output)
    following.answer((worked.sentence(), f"Its copy of the study is in {worked.folder.root}"))
    return 0


def _several(options: argparse.Namespace) -> int:
    """Works on each study while it is led; one that fails here does not stop the rest."""
    if options.output is not None:
        message = "is one folder; with several studies each copy is beside its study's own folder"
        raise InputError.one("--output", message)
    led = LedStudies(load_studies(options.config))
    wait_s = _WAIT_S if options.wait is None else options.wait
    worked = [_worked(study, options) for study in led.each(wait_s)]
    waiting = [_standing(study) for study in led.left]
    if waiting:
        names = ", ".join(one.name for one in waiting)
        _complain(f"for {duration(wait_s)} nobody has led any of {names}")
    return exit_code_of([*worked, *waiting])


def _worked(study: StudyConfig, options: argparse.Namespace) -> Standing:
    """How working on a study ended, in a process of its own."""
    chosen = [f"--{name}" for name in ("quiet", "json-progress") if _is_chosen(options, name)]
    if not chosen:
        make_console().print(Text(printable(f"\nStudy {study.name}")))
    ended = run_process(command("worker", "--config", str(study.study_file), *chosen), math.inf)
    state = state_of(ended)
    if state == "failed":
        _complain(f"{study.name} failed: {cause_of(ended)}")
    elif state == "interrupted":
        _complain(f"{study.name}: {ended.words.strip()}")
    return replace(_standing(study), state=state, exit_code=ended.status)


def _is_chosen(options: argparse.Namespace, name: str) -> bool:
    return bool(getattr(options, name.replace("-", "_")))


def _standing(study: StudyConfig) -> Standing:
    return Standing(str(study.study_file), study.name, str(study.output))


def _complain(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
