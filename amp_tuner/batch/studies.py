"""The studies of a batch, checked before the first one starts: every problem of every file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from amp_tuner.api.running import check_folder, check_fresh
from amp_tuner.batch.standing import data_file, read_standings
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, Problem
from amp_tuner.output.clock import spent_before_s
from amp_tuner.output.folder import Lock, RunFolder
from amp_tuner.search.samplers import check_sampler
from amp_tuner.study.fleet import check_database


def load_studies(
    files: Sequence[Path], summary: Path | None = None, *, fresh: bool = False
) -> list[StudyConfig]:
    """The studies of these files, in their order; nothing is run or written.

    Args:
        files: study files.
        summary: the folder of the batch's summary.
        fresh: old studies will be moved aside.

    Raises:
        InputError: every problem of every file, each with its file; files, output folders, or
            studies of a database that are named twice; a summary in a study's folder.
    """
    problems: list[Problem] = []
    studies: list[StudyConfig] = []
    named: set[Path] = set()
    for file in files:
        if file.resolve() in named:
            problems.append(Problem(str(file), "this study file is named twice"))
            continue
        named.add(file.resolve())
        try:
            studies.append(_load(file, fresh=fresh))
        except InputError as error:
            problems += (placed(problem, file) for problem in error.problems)
    problems += _shared_folders(studies)
    problems += _shared_names(studies)
    if summary is not None:
        problems += _summary_problems(summary, studies)
    if problems:
        raise InputError(problems)
    return studies


def _load(file: Path, *, fresh: bool) -> StudyConfig:
    config = load_study(file)
    check_sampler(config.search.sampler)
    if fresh:
        check_fresh(config)
    check_database(config)
    folder = RunFolder(config.output)
    if not fresh:
        check_folder(config)
        spent_before_s(folder)
    elif folder.identity.exists():
        # To be moved aside, it must be nobody's.
        Lock(folder).release()
    return config


def placed(problem: Problem, file: Path) -> Problem:
    """The problem with its file."""
    known = problem.where.startswith(str(file))
    return problem if known else Problem(f"{file}: {problem.where}", problem.message)


def _shared_folders(studies: Sequence[StudyConfig]) -> Iterator[Problem]:
    for index, study in enumerate(studies):
        own = study.output.resolve()
        for other in studies[:index]:
            its = other.output.resolve()
            if own == its or own in its.parents or its in own.parents:
                message = f"is, holds or is in the output folder of {other.study_file}"
                where = f"{study.study_file}: $.output"
                yield Problem(where, f"{study.output} {message}; name another one")


def _shared_names(studies: Sequence[StudyConfig]) -> Iterator[Problem]:
    held: dict[tuple[str, str], Path] = {}
    for study in studies:
        if study.storage is not None:
            other = held.setdefault((study.storage, study.name), study.study_file)
            if other != study.study_file:
                message = f"{study.name} is the study of {other} in the same database, too"
                where = f"{study.study_file}: $.name"
                yield Problem(where, f"{message}; give one of them another name")


def _summary_problems(summary: Path, studies: Sequence[StudyConfig]) -> Iterator[Problem]:
    if summary.exists() and not summary.is_dir():
        yield Problem("--summary", f"{summary} is a file; name a folder")
        return
    try:
        read_standings(data_file(summary))
    except InputError as error:
        yield from error.problems
    place = summary.resolve()
    for study in studies:
        own = study.output.resolve()
        if own == place or own in place.parents:
            message = f"{summary} is in the output folder of {study.study_file}; name another one"
            yield Problem("--summary", message)
