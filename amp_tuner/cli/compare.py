"""``amp-tune compare``: head to head, each paired with FP32."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from amp_tuner.cli.rows import compared_row, relative_figures, relative_title
from amp_tuner.cli.terminal import comparison, make_console, relative_table, working
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, Problem
from amp_tuner.records import FLOAT32, Setting
from amp_tuner.results.points import Lists, read_lists
from amp_tuner.study.comparing import Compared, compare, in_further_processes
from amp_tuner.study.planning import move_problems
from amp_tuner.study.session import Session, open_session


def run(options: argparse.Namespace) -> int:
    """Runs the verb.

    Raises:
        InputError: anything that is wrong with the user's input.
        TargetError: FP32 cannot run on this target.
    """
    console = make_console()
    more = {} if options.processes is None else {"measure.processes": options.processes}
    config = load_study(options.config, overrides=more)
    given = {path: read_lists(path) for path in options.lists}
    columns = {}
    for wanted in options.batch_size or [config.data.batch_size]:
        at_size = load_study(options.config, overrides={**more, "data.batch_size": wanted})
        batch_size, compared = _compared(at_size, given, console)
        columns[relative_title(batch_size)] = relative_figures(compared, batch_size)
    if len(columns) > 1:
        modelled = config.target.profile is not None
        console.print(relative_table(columns, modelled=modelled))
    return 0


def _compared(
    config: StudyConfig, given: Mapping[Path, Lists], console: Console
) -> tuple[int, list[Compared]]:
    """Measures and prints a table; gives the batch size, which a model may demand, and outcomes."""
    with tempfile.TemporaryDirectory(prefix="amp-tune-") as work:
        with working(console, "starting a worker, loading the model"):
            session = open_session(config, Path(work))
        try:
            _check(session, given)
            settings = _settings(session, given)
            with working(console, "measuring"):
                compared = in_further_processes(session, compare(session, settings))
        finally:
            session.bench.close()
    console.print(f"batches of {session.data.batch_size}{_in_processes(config)}")
    console.print(comparison([compared_row(one) for one in compared], config.accuracy.metric))
    for notice in session.notices:
        console.print(f"note: {notice}", markup=False)
    console.print()
    return session.data.batch_size, compared


def _in_processes(config: StudyConfig) -> str:
    if config.target.profile is not None:
        return ""
    return ", in one process" if config.processes == 1 else f", in {config.processes} processes"


def _check(session: Session, given: Mapping[Path, Lists]) -> None:
    """Refuses moves of what the model does not have, of all files at once."""
    planner = session.planner
    problems: list[Problem] = []
    for path, lists in given.items():
        own = planner.painters.get(lists.data_type or "")
        painters = list(planner.painters.values()) if own is None else [own]
        graphs = [painter.graph.graph for painter in painters]
        problems += move_problems(str(path), lists.moves, graphs, served=planner.served)
    if problems:
        raise InputError(problems)


def _settings(session: Session, given: Mapping[Path, Lists]) -> dict[str, Setting]:
    """One setting a file, or one a data type where the file names none."""
    settings = {}
    for path, lists in given.items():
        if lists.data_type == FLOAT32:
            continue
        own = (lists.data_type,) if lists.data_type else tuple(session.planner.painters)
        for data_type in own:
            if data_type not in session.planner.painters:
                message = f"is for {data_type}, which is not in target.data_types"
                raise InputError.one(str(path), message)
            name = path.stem if len(own) == 1 else f"{path.stem} {data_type}"
            settings[name] = Setting(data_type, lists.moves, lists.level)
    return settings
