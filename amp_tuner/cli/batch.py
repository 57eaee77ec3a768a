"""``amp-tune batch``: many studies on this machine, one after the other, and one summary."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from amp_tuner.batch.night import Night, Running
from amp_tuner.batch.standing import Standing, data_file, exit_code_of, read_standings
from amp_tuner.batch.studies import load_studies
from amp_tuner.batch.summary import Summary, time_words
from amp_tuner.cli.one_study import command
from amp_tuner.cli.terminal import make_console
from amp_tuner.config.model import StudyConfig
from amp_tuner.config.quantities import duration_text
from amp_tuner.errors import InputError
from amp_tuner.output.folder import Lock, RunFolder, move_aside
from amp_tuner.report.study_folder import StudyFolder
from amp_tuner.report.words import VERDICTS, setting_in_words, significant, speed_in_words
from amp_tuner.results.conclusion import conclusion
from amp_tuner.text import duration, one_line, printable

_DEFAULT_FOLDER = Path("batch")


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with any study file, before a study is run; or the
            summary cannot be written in the end.
        KeyboardInterrupt: once the study in flight has stopped and the summary is written.
    """
    folder = options.summary or _DEFAULT_FOLDER
    studies = load_studies(options.studies, folder, fresh=options.fresh)
    budget_s = options.time_budget or math.inf
    with _locked(folder):
        known = read_standings(data_file(folder))
        if options.fresh:
            known = {}
            for study in studies:
                move_aside(study.output)
        summary = Summary(folder, budget_s, shared=options.summary is not None)
        watch = _Watch(summary, make_console(quiet=options.quiet), studies)
        night = Night(studies, known, budget_s, watch, Running(_command, quiet=options.quiet))
        return _watched(night, watch)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The summary's folder, made if need be; one batch at a time writes to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(RunFolder(folder))
    except OSError as error:
        raise _not_written(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _not_written(folder: Path, error: OSError) -> InputError:
    return InputError.one("--summary", f"cannot write to {folder}: {error.strerror or error}")


def _command(study: StudyConfig, limit_s: float | None) -> list[str]:
    """The command line of one study."""
    words = ["run", "--config", str(study.study_file)]
    if limit_s is not None:
        words += ["--time-budget", duration_text(limit_s)]
    return command(*words)


class _Watch:
    """Says whose turn it is, and keeps the summary up to date.

    Args:
        summary: the batch's.
        console: where to; a quiet one shows nothing.
        studies: the batch's.
    """

    def __init__(self, summary: Summary, console: Console, studies: Sequence[StudyConfig]) -> None:
        self.summary = summary
        self._console = console
        self._studies = studies
        self._standings: Sequence[Standing] = ()

    def stands(self, index: int, standings: Sequence[Standing]) -> None:
        """Tells how a study ended, and writes it down."""
        self._standings = standings
        one = standings[index]
        if one.state != "running":
            self.summary.read(index, one)
        if one.state == "failed":
            self._say(f"{one.name} failed: {one.cause}")
            if "\n" in one.last_words.strip():
                print(one.last_words.rstrip(), file=sys.stderr, flush=True)
        # A full disk is no reason to stop; in the end it is told once more.
        try:
            self.summary.write_data(standings, None)
        except OSError as error:
            self._say(f"note: {_not_written(self.summary.folder, error)}")

    def begins(self, index: int, left_s: float) -> None:
        """Says whose turn it is; the page shows all that went before."""
        with contextlib.suppress(OSError):
            self.summary.write_page(self._standings)
        limit = "" if math.isinf(left_s) else f", for {duration(left_s)} at most"
        count = f"{index + 1} of {len(self._studies)}"
        self._say(f"\nStudy {count}: {self._studies[index].name}{limit}")

    def _say(self, text: str) -> None:
        self._console.print(Text(printable(text)))


def _watched(night: Night, watch: _Watch) -> int:
    """Runs the batch; whatever ends it, the summary is whole, and shown."""
    summary = watch.summary
    for index, one in enumerate(night.standings):
        summary.read(index, one)
    try:
        night.run()
    finally:
        code = exit_code_of(night.standings)
        try:
            summary.write_data(night.standings, code)
            summary.write_page(night.standings)
        except OSError as error:
            raise _not_written(summary.folder, error) from error
        finally:
            _show(summary, night.standings)
    return code


def _show(summary: Summary, standings: Sequence[Standing]) -> None:
    """The table at the end, and what is not in it; shown even if quiet."""
    console = make_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("study", "outcome", "best", "speed-up", "accuracy", "goal", "time"):
        table.add_column(title, no_wrap=title in ("study", "outcome"))
    lines = []
    for index, one in enumerate(standings):
        found = summary.found.get(index)
        cells = ("", "", "", "") if found is None else _best(found)
        table.add_row(Text(one_line(one.name)), one.state, *cells, time_words(one))
        cause = summary.cause(index, one)
        if cause is not None:
            lines.append(f"{one.name}: {cause}")
        elif found is not None and found.front.best is None:
            lines.append(f"{one.name}: {conclusion(found.accuracy, found.front, found.points)}")
    console.print()
    console.print(table)
    for line in (*lines, f"The summary is in {summary.page}"):
        console.print()
        console.print(Text(printable(line)))


def _best(study: StudyFolder) -> tuple[str, str, str, str]:
    """The best point's name, speed-up, accuracy, and what that is to the goal."""
    if study.front.best is None:
        return "none meets", "", "", ""
    best = study.points[study.front.best]
    accuracy = f"{study.accuracy.metric} {significant(best.accuracy.score)}"
    name = one_line(setting_in_words(best.setting))
    return (
        name,
        speed_in_words(best.speedup, best.modelled_for),
        accuracy,
        VERDICTS[best.accuracy.verdict],
    )
