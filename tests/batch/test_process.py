"""Processes that end by themselves, are ended, and will not end."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from amp_tuner.batch.process import Exit, run_process

_READY = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
_DEAF = (
    f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_READY}; time.sleep(60)"
)
_OBEDIENT = f"""
import pathlib, signal, time
def stop(*_):
    with pathlib.Path(sys.argv[1]).open("a") as told:
        told.write("stop")
        time.sleep(0.5)
        told.write("ped")
    sys.exit("stopped")
signal.signal(signal.SIGTERM, stop)
{_READY}
time.sleep(60)
"""


def ran(code: str, *words: str, limit_s: float = math.inf, stop_s: float = 20) -> Exit:
    return run_process([sys.executable, "-c", code, *words], limit_s, stop_s=stop_s)


def test_status_and_last_words_are_kept() -> None:
    ended = ran("import sys; sys.exit('what was wrong')")
    assert (ended.status, ended.timed_out, ended.words) == (1, False, "what was wrong\n")
    assert ended.seconds > 0


def test_a_signal_is_a_negative_status() -> None:
    assert ran("import os; os.kill(os.getpid(), 11)").status == -signal.SIGSEGV


def test_what_takes_too_long_is_told_to_stop(tmp_path: Path) -> None:
    ended = ran(_OBEDIENT, str(tmp_path / "ready"), limit_s=3)
    assert (ended.status, ended.timed_out, ended.words) == (1, True, "stopped\n")


def test_what_does_not_stop_is_killed(tmp_path: Path) -> None:
    ended = ran(_DEAF, str(tmp_path / "ready"), limit_s=3, stop_s=0.2)
    assert (ended.status, ended.timed_out) == (-signal.SIGKILL, True)


def test_an_interruption_is_passed_on_once_and_waits_for_the_end(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    def interrupt() -> None:
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ran(_OBEDIENT, str(ready))
    thread.join()
    assert ready.read_text() == "stopped"


def test_what_is_printed_is_shown_or_dropped() -> None:
    code = (
        "import math, sys\n"
        "from amp_tuner.batch.process import run_process\n"
        "for quiet in (False, True):\n"
        "    run_process([sys.executable, '-c', f'print({quiet})'], math.inf, quiet=quiet)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
