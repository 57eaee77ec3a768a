from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from amp_tuner.errors import WorkerFailure
from amp_tuner.worker.supervisor import KEPT_OUTPUT_BYTES, LAST_WORDS_BYTES, WorkerProcess

GIB = 2**30
ECHO = """
    for line in requests:
        replies.write(line)
        replies.flush()
"""

Starter = Callable[..., WorkerProcess]


def assert_goes(pid: int) -> None:
    """Signals take a moment; what is left for init to reap is gone, too."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} lives on")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts a process whose program talks on the pipes ``requests`` and ``replies``."""
    started: list[WorkerProcess] = []

    def start_program(
        program: str,
        *,
        memory_bytes: int = GIB,
        address_space_bytes: int | None = None,
        disk_bytes: int | None = None,
    ) -> WorkerProcess:
        opening = (
            "import os, sys, time, signal\n"
            "requests = os.fdopen(int(sys.argv[1])); replies = os.fdopen(int(sys.argv[2]), 'w')\n"
        )
        process = WorkerProcess(
            [sys.executable, "-c", opening + textwrap.dedent(program)],
            {"PATH": os.environ["PATH"]},
            tmp_path,
            memory_bytes=memory_bytes,
            address_space_bytes=address_space_bytes,
            scratch=tmp_path,
            disk_bytes=disk_bytes,
        )
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()


def test_a_line_comes_back(start: Starter) -> None:
    process = start(ECHO)
    assert process.exchange(b"one\n", 10) == b"one"
    assert process.exchange(b"two\n", 10) == b"two"


def test_a_long_reply_comes_back_whole(start: Starter) -> None:
    process = start("requests.readline(); replies.write('x' * 3_000_000 + '\\n'); replies.flush()")
    assert len(process.exchange(b"go\n", 10)) == 3_000_000


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_death_by_signal_is_told_by_its_name_with_last_words(start: Starter, name: str) -> None:
    process = start(
        f"requests.readline(); print('farewell', flush=True)\n"
        f"os.kill(os.getpid(), signal.{name}); time.sleep(60)"
    )
    with pytest.raises(WorkerFailure, match=name) as caught:
        process.exchange(b"go\n", 30)
    assert caught.value.fatal
    assert "farewell" in caught.value.last_words
    assert not process.alive


def test_an_exit_is_told_by_its_status(start: Starter) -> None:
    process = start("requests.readline(); replies.close(); time.sleep(0.2); sys.exit(7)")
    with pytest.raises(WorkerFailure, match="exit status 7"):
        process.exchange(b"go\n", 30)


def test_an_unknown_signal_has_its_number(start: Starter) -> None:
    process = start("requests.readline(); os.kill(os.getpid(), 40); time.sleep(60)")
    with pytest.raises(WorkerFailure, match="signal 40"):
        process.exchange(b"go\n", 30)


def test_a_hang_is_killed_past_its_limit(start: Starter) -> None:
    process = start("time.sleep(600)")
    with pytest.raises(WorkerFailure, match=r"timeout after 0\.3 s") as caught:
        process.exchange(b"go\n", 0.3)
    assert caught.value.fatal
    assert not psutil.pid_exists(process.pid)


def test_children_of_the_worker_go_with_it(start: Starter) -> None:
    process = start(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "replies.write(f'{child.pid}\\n'); replies.flush(); time.sleep(600)"
    )
    child = int(process.exchange(b"go\n", 10))
    process.kill()
    assert_goes(child)


def test_a_child_that_outlives_a_crash_is_killed_too(start: Starter) -> None:
    process = start(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "requests.readline(); replies.write(f'{child.pid}\\n'); replies.flush()\n"
        "requests.readline(); os.abort()"
    )
    child = int(process.exchange(b"go\n", 10))
    with pytest.raises(WorkerFailure, match="SIGABRT"):
        process.exchange(b"crash\n", 10)
    assert_goes(child)


def test_resident_memory_past_the_limit_kills(start: Starter) -> None:
    process = start(
        "requests.readline(); block = bytearray(b'x') * (600 << 20); time.sleep(600)",
        memory_bytes=GIB // 4,
    )
    with pytest.raises(WorkerFailure, match=r"memory above 0\.25 GiB") as caught:
        process.exchange(b"go\n", 60)
    assert caught.value.fatal


def test_a_huge_allocation_fails_inside_and_the_worker_lives_on(start: Starter) -> None:
    process = start(
        """
        requests.readline()
        try:
            bytearray(8 << 30)
        except MemoryError:
            replies.write('refused\\n'); replies.flush()
        replies.write(requests.readline()); replies.flush()
        """,
        address_space_bytes=2 * GIB,
    )
    assert process.exchange(b"go\n", 10) == b"refused"
    assert process.exchange(b"still here\n", 10) == b"still here"


def test_a_file_past_the_limit_fails_inside_and_the_worker_lives_on(start: Starter) -> None:
    process = start(
        """
        requests.readline()
        try:
            open('large', 'wb').write(bytes(2 << 20))
        except OSError as error:
            replies.write(f'{error.strerror}\\n'); replies.flush()
        replies.write(requests.readline()); replies.flush()
        """,
        disk_bytes=2**20,
    )
    assert process.exchange(b"go\n", 10) == b"File too large"
    assert process.exchange(b"still here\n", 10) == b"still here"


def test_many_files_past_the_limit_kill(start: Starter) -> None:
    process = start(
        "requests.readline()\n"
        "for number in range(6): open(f'file{number}', 'wb').write(bytes(500_000))\n"
        "time.sleep(600)",
        disk_bytes=2**20,
    )
    with pytest.raises(WorkerFailure, match=r"GiB written \(limits\.disk\)") as caught:
        process.exchange(b"go\n", 60)
    assert caught.value.fatal


def test_a_worker_that_died_while_nobody_asked_is_seen_before_it_is_asked(start: Starter) -> None:
    process = start("requests.readline()")
    assert process.alive
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while process.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.alive


def test_printing_without_end_keeps_only_the_end(start: Starter) -> None:
    process = start(
        "requests.readline()\n"
        "for number in range(300_000): print('noise', number)\n"
        "print('the end', flush=True); replies.write('done\\n'); replies.flush(); time.sleep(600)"
    )
    assert process.exchange(b"go\n", 60) == b"done"
    words = process.last_words()
    assert words.endswith("the end\n")
    assert len(words) <= LAST_WORDS_BYTES
    assert len(process._output._tail) <= KEPT_OUTPUT_BYTES


def test_a_dead_worker_says_again_why(start: Starter) -> None:
    process = start("os.abort()")
    for _ in range(2):
        with pytest.raises(WorkerFailure, match="SIGABRT"):
            process.exchange(b"go\n", 10)


def test_an_interrupted_wait_ends_the_worker(start: Starter) -> None:
    process = start("time.sleep(600)")
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        process.exchange(b"go\n", 60)
    assert not process.alive


def test_an_end_that_was_interrupted_is_gone_on_with(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(ECHO)
    wait = subprocess.Popen.wait

    def interrupted(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        wait(self, timeout)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.kill()
    worker.kill()
    with pytest.raises(WorkerFailure, match="SIGKILL"):
        worker.exchange(b"", 5)


def test_no_descriptors_or_threads_are_left(start: Starter) -> None:
    def held() -> tuple[int, int]:
        return psutil.Process().num_fds(), threading.active_count()

    before = held()
    for _ in range(3):
        start(ECHO).kill()
    deadline = time.monotonic() + 5
    while held() != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert held() == before
