"""Whole commands and what they run on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.cli.main import main
from tests import small_study
from tests.cli.screens import pseudo_terminal, set_environment
from tests.conftest import Files


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Watched:
    """A study that ran on a terminal.

    Attributes:
        folder: holds its study file and its output, ``run``.
        columns, rows: the terminal's.
        written: everything that was written to it.
    """

    folder: Path
    columns: int
    rows: int
    written: str


Command = Callable[..., Ended]


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The model that goes wrong in 16 bits."""
    folder = tmp_path_factory.mktemp("night")
    return Files(small_study.make_night_model(folder), small_study.make_night_data(folder))


@pytest.fixture
def amp_tune(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command in this process, with workers of its own."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*words: Any) -> Ended:
        code = main([str(word) for word in words])
        return Ended(code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def quick(amp_tune: Command, lent: Callable[[], Any]) -> Iterator[Command]:
    """Runs a command in this process, with the session's workers."""
    with lent():
        yield amp_tune


@pytest.fixture(scope="session")
def watched(
    tmp_path_factory: pytest.TempPathFactory, small: Files, lent: Callable[[], Any]
) -> Watched:
    """A small study on a terminal, from beginning to end; its folder is only to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    path = small_study.write_study(folder, small_study.study(small.model, small.data))
    before = signal.getsignal(signal.SIGTERM)
    columns, rows = 100, 40
    with (
        lent(),
        pytest.MonkeyPatch.context() as patch,
        pseudo_terminal(columns=columns, rows=rows) as terminal,
        open(terminal.end, "w", encoding="utf-8", closefd=False) as stream,
    ):
        set_environment(patch, COLUMNS=str(columns), LINES=str(rows))
        patch.setattr("sys.stdout", stream)
        assert main(["--config", str(path)]) == 0
    signal.signal(signal.SIGTERM, before)
    return Watched(folder, columns, rows, terminal.written)


@pytest.fixture(scope="session")
def first_run(watched: Watched) -> Path:
    """The folder of a finished study and of its study file; only to be copied."""
    return watched.folder


@pytest.fixture
def finished(first_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished study's folder, with its study file; the output is in ``run``."""
    return shutil.copytree(first_run, tmp_path / "finished", symlinks=True)
