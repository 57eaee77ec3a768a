"""One study as a process of its own: waited for, ended in time, what it said at its end kept."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from amp_tuner.worker.supervisor import KEPT_OUTPUT_BYTES, OutputTail

#: A study that is told to stop publishes what it knows by then; after this it is killed.
STOP_S = 60.0


@dataclass(frozen=True)
class Exit:
    """How a process ended.

    Attributes:
        status: its exit status; negative: the signal that ended it.
        timed_out: it was told to stop for the time that it took.
        seconds: it took.
        words: the end of what it wrote to standard error.
    """

    status: int
    timed_out: bool
    seconds: float
    words: str


def run_process(
    command: Sequence[str], limit_s: float, *, quiet: bool = False, stop_s: float = STOP_S
) -> Exit:
    """Runs a program to its end.

    It has a session of its own: a terminal's Ctrl-C reaches this process alone, which passes it on
    once.

    Args:
        command: the program and its arguments.
        limit_s: after this it is told to stop (SIGTERM); infinity for no limit.
        quiet: what it writes to standard output is dropped; else it goes where this process's does.
        stop_s: how long it may take to stop before it is killed.

    Raises:
        KeyboardInterrupt: once the program was stopped.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = OutputTail(process.stderr)
    try:
        timed_out = not _ends_within(process, limit_s)
    finally:
        _stop(process, stop_s)
        words = said.last_words(KEPT_OUTPUT_BYTES)
        said.close()
    return Exit(process.returncode, timed_out, time.monotonic() - began, words)


def _ends_within(process: subprocess.Popen[bytes], limit_s: float) -> bool:
    """Waits without waking up, which ``Popen.wait`` does: something is being timed meanwhile."""
    waiting = threading.Thread(target=process.wait, daemon=True)
    waiting.start()
    waiting.join(None if math.isinf(limit_s) else min(limit_s, threading.TIMEOUT_MAX))
    return not waiting.is_alive()


def _stop(process: subprocess.Popen[bytes], stop_s: float) -> None:
    """Ends a process that has not ended by itself."""
    try:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(stop_s)
    finally:
        # After a second Ctrl-C, too.
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
