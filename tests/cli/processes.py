"""Commands in processes of their own, for tests that kill them or their workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from amp_tuner.results.event_log import read_events

#: No command of these tests takes longer, however busy the machine is.
LIMIT_S = 400


def started(
    study_file: Path, *words: str
) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A tuner on a study file; see :func:`command`."""
    return command("--config", study_file, *words)


def command(
    *words: str | Path,
) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A command of amp-tune; see :func:`spawned`."""
    return spawned([sys.executable, "-m", "amp_tuner", *map(str, words)])


@contextlib.contextmanager
def spawned(words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A command; what it says goes to one pipe. Nothing of its session outlives the block."""
    tuner = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield tuner
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(tuner.pid, signal.SIGKILL)
        tuner.communicate()


def finished(tuner: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for the end: exit code and what was said."""
    said, _ = tuner.communicate(timeout=LIMIT_S)
    return tuner.returncode, said


def workers(tuner: subprocess.Popen[str]) -> list[psutil.Process]:
    """The tuner's live workers."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(tuner.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "amp_tuner.worker.main" in child.cmdline():
                    found.append(child)
    return found


def events(run: Path, name: str = "") -> list[dict[str, Any]]:
    """The events of a study so far, all or those of one name."""
    log = run / "log.jsonl"
    told = read_events(log) if log.exists() else iter(())
    return [event for event in told if name in ("", event["event"])]


def await_event(tuner: subprocess.Popen[str], run: Path, name: str, count: int) -> bool:
    """Waits until there are so many events of a name; False if the tuner ended before."""
    deadline = time.monotonic() + LIMIT_S
    while len(events(run, name)) < count:
        assert time.monotonic() < deadline, f"no {name} in {LIMIT_S} s"
        if tuner.poll() is not None:
            return False
        time.sleep(0.01)
    return True


def is_gone(process: psutil.Process, within_s: float) -> bool:
    """Whether a process ends in time; what waits for its parent counts as ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
                continue
        return True
    return False
