"""The output folder: its files, whose study it holds, and who is writing to it.

One tuner writes to a folder at a time. The lock is held by the operating system for as long as the
process lives, so a killed tuner leaves none behind; its text says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.errors import InputError, Problem
from amp_tuner.files import remove_leftovers, write_json
from amp_tuner.output.stored import FORMAT, StoredStudy, read_stored
from amp_tuner.text import now


@dataclass(frozen=True)
class RunFolder:
    """Paths of one study's output folder."""

    root: Path

    @property
    def identity(self) -> Path:
        """What the study is: compared on every resume."""
        return self.root / "study.json"

    @property
    def journal(self) -> Path:
        """Optuna's storage."""
        return self.root / "study.journal"

    @property
    def trials(self) -> Path:
        """One JSON file a trial, raw block times included."""
        return self.root / "trials"

    @property
    def untold(self) -> Path:
        """Of a shared study: trials that ended and that the database lacks, one JSON file each."""
        return self.root / "untold"

    @property
    def member(self) -> Path:
        """Of a shared study: who this folder is among those that work on it."""
        return self.root / "member.json"

    @property
    def database(self) -> Path:
        """What workers of this machine tell each other, where the study file names no database."""
        return self.root / "workers.db"

    @property
    def workers(self) -> Path:
        """Copies of the study, of workers that were placed on this machine; one folder each."""
        return self.root / "workers"

    @property
    def confirmed(self) -> Path:
        """One JSON file for each member of the front that was measured again."""
        return self.root / "confirmed"

    @property
    def minimal(self) -> Path:
        """One JSON file for each setting of the front of which moves were tried to drop."""
        return self.root / "minimal"

    @property
    def bundles(self) -> Path:
        """One JSON file for each bundle that was written for a device elsewhere."""
        return self.root / "bundles"

    @property
    def trials_csv(self) -> Path:
        """One row a trial."""
        return self.root / "trials.csv"

    @property
    def effects(self) -> Path:
        """Which op type gives what."""
        return self.root / "effects.csv"

    @property
    def pareto(self) -> Path:
        """The front: ``front.yaml`` and one file a point."""
        return self.root / "pareto"

    @property
    def graphs(self) -> Path:
        """One JSON file a data type: the graph as its pass sees it."""
        return self.root / "graphs"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "report.html"

    @property
    def events(self) -> Path:
        """What happened, one JSON object a line."""
        return self.root / "log.jsonl"

    @property
    def failures(self) -> Path:
        """The last words of failed trials."""
        return self.root / "failures"

    @property
    def quarantine(self) -> Path:
        """How often each setting has ended the worker."""
        return self.root / "quarantine.json"

    @property
    def work(self) -> Path:
        """Scratch: outputs on their way from the worker, never needed after the run."""
        return self.root / "work"

    def trial(self, number: int) -> Path:
        """The file of one trial."""
        return self.trials / f"{number:04d}.json"

    def confirmation(self, number: int) -> Path:
        """The file of one trial's confirmation."""
        return self.confirmed / f"{number:04d}.json"

    def minimised(self, number: int) -> Path:
        """The file of what was dropped from one trial's setting."""
        return self.minimal / f"{number:04d}.json"


class InUseError(InputError):
    """Another process is writing to the folder."""


class Lock:
    """The folder's lock: held until :meth:`release` or the end of the process.

    Raises:
        InUseError: another process holds it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.root / "lock"
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._path.read_text(encoding="utf-8").strip() or "an unknown process"
            os.close(self._handle)
            message = f"another tuner is writing to this folder ({holder})"
            raise InUseError.one(str(folder.root), message) from None
        os.ftruncate(self._handle, 0)
        text = f"host {socket.gethostname()}, pid {os.getpid()}, since {now()}\n"
        os.pwrite(self._handle, text.encode(), 0)

    def check(self) -> None:
        """Makes sure that the folder is still the one that was locked.

        Raises:
            InputError: it was removed or replaced; what is there now is not to be written to.
        """
        try:
            same = os.path.samestat(self._path.stat(), os.fstat(self._handle))
        except FileNotFoundError:
            same = False
        if not same:
            message = (
                "the folder was removed or replaced while this tuner was writing to it; nothing "
                "more is written, and another run may be under way there"
            )
            raise InputError.one(str(self._path.parent), message)

    def release(self) -> None:
        """Gives the folder back."""
        os.close(self._handle)


def open_folder(root: Path) -> tuple[RunFolder, Lock]:
    """Makes the folder if need be, and takes its lock.

    Raises:
        InputError: not writable, not a study's folder, or another tuner's.
    """
    folder = RunFolder(root)
    if root.is_dir() and not folder.identity.exists():
        # What a tuner leaves behind that found bad input, or was killed before its first trial.
        ours = re.compile(rf"lock|work|{folder.database.name}.*|\.{folder.identity.name}\..*")
        names = sorted(entry.name for entry in root.iterdir())
        strangers = [name for name in names if not ours.fullmatch(name)]
        if strangers:
            message = f"the folder holds no study but other files ({', '.join(strangers[:3])}, …)"
            raise InputError.one("$.output", f"{root}: {message}; name an empty or a new folder")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _check_links(folder)
        lock = Lock(folder)
        remove_leftovers(root)
        _empty_work(folder)
    except OSError as error:
        message = f"cannot write to {root}: {error.strerror}"
        raise InputError.one("$.output", message) from error
    return folder, lock


def _check_links(folder: RunFolder) -> None:
    """A link in a folder that came from elsewhere could have the tuner write anywhere."""
    links = sorted(entry.name for entry in folder.root.iterdir() if entry.is_symlink())
    if links:
        message = f"{folder.root} holds symbolic links ({', '.join(links[:3])}); remove them"
        raise InputError.one("$.output", message)


def _empty_work(folder: RunFolder) -> None:
    """Empties the scratch folder; an earlier run's worker may still be dying in it."""
    folder.work.mkdir(exist_ok=True)
    for entry in list(folder.work.iterdir()):
        stale = entry.rename(folder.work / f".stale-{secrets.token_hex(4)}")
        if stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale, ignore_errors=True)
        else:
            stale.unlink()


def move_aside(root: Path) -> Path | None:
    """Makes room for a fresh study: the old folder gets the first free ``.N`` at its end.

    Returns:
        The old study's new place, or None where there was none.

    Raises:
        InputError: another tuner is writing to the old folder.
    """
    if not RunFolder(root).identity.exists():
        return None
    _check_links(RunFolder(root))
    Lock(RunFolder(root)).release()
    number = 1
    while (aside := root.with_name(f"{root.name}.{number}")).exists():
        number += 1
    root.rename(aside)
    return aside


def claim(
    folder: RunFolder, identity: Mapping[str, Any], config: Mapping[str, Any], study_file: Path
) -> bool:
    """Writes down which study the folder holds, or checks that it holds this one.

    Args:
        folder: a folder whose lock is held.
        identity: what must not change between runs (JSON).
        config: the study file's keys, for exports.
        study_file: where they were read.

    Returns:
        Whether the folder already held this study: a resume.

    Raises:
        InputError: it holds another one; every difference is named, nothing is touched.
    """
    content = {
        "format": FORMAT,
        "identity": identity,
        "config": config,
        "study_file": str(study_file),
    }
    resumed = check_identity(folder, identity)
    write_json(folder.identity, content)
    return resumed


def check_identity(folder: RunFolder, identity: Mapping[str, Any]) -> bool:
    """Whether the folder holds a study; reads only.

    Args:
        folder: the folder, which may not exist.
        identity: what must not change between runs (JSON), or some of its keys.

    Raises:
        InputError: it holds another study; every difference is named.
    """
    if not folder.identity.exists():
        return False
    held = read_stored(folder.identity, StoredStudy)
    problems = other_study(held.identity, identity, f"the study in {folder.root}")
    if problems:
        hint = "another output folder, or --fresh to move the old study aside and start anew"
        raise InputError([*problems, Problem("$.output", f"holds another study: use {hint}")])
    return True


def other_study(held: Mapping[str, Any], identity: Mapping[str, Any], name: str) -> list[Problem]:
    """Where a study is another one than a held one.

    Args:
        held: what must not change, of the one that is held.
        identity: the same (JSON), or some of its keys, of the one that is wanted.
        name: of the one that is held.
    """
    wanted = json.loads(json.dumps(identity))
    before = {key: held.get(key) for key in wanted}
    return [
        Problem(where, f"{name} has {old!r}, this one {new!r}")
        for where, old, new in _differences(before, wanted, "$")
    ]


def _differences(before: Any, now: Any, where: str) -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            difference
            for key in sorted(before.keys() | now.keys())
            for difference in _differences(before.get(key), now.get(key), f"{where}.{key}")
        ]
    return [] if before == now else [(where, before, now)]
