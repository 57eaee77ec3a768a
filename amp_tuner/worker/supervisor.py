"""A worker process as the tuner holds it: started, limited, listened to, ended.

A worker dies alone: by a signal in a kernel, past its time limit, past its memory limit. Each of
these is told as a WorkerFailure with a short cause and the worker's last words.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from amp_tuner.errors import WorkerFailure
from amp_tuner.files import tree_bytes
from amp_tuner.measure.cores import pinned
from amp_tuner.text import printable

KEPT_OUTPUT_BYTES = 64 * 1024
LAST_WORDS_BYTES = 4 * 1024
MEMORY_WATCH_PERIOD_S = 0.05
DISK_WATCH_PERIOD_S = 0.5
#: How long a worker that has closed its pipe may take to be gone, before it is killed.
EXIT_GRACE_S = 2.0
#: The longest reply is the description of a graph: some 2 KiB a node.
LONGEST_REPLY_BYTES = 1 << 30
SETTLE_S = 0.5


class OutputTail:
    """Drains what a process prints and keeps the end of it, so that no disk can fill."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._descriptor = stream.fileno()
        self._tail = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _readable(self, timeout_ms: int | None) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(timeout_ms))

    def _drain(self) -> None:
        while True:
            self._readable(None)
            # Read and keep under one lock: whoever holds it and sees nothing to read has it all.
            with self._lock:
                chunk = os.read(self._descriptor, KEPT_OUTPUT_BYTES)
                self._tail += chunk
                del self._tail[:-KEPT_OUTPUT_BYTES]
            if not chunk:
                return

    def last_words(self, most_bytes: int = LAST_WORDS_BYTES) -> str:
        """The last bytes printed so far, KEPT_OUTPUT_BYTES at most."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            with self._lock:
                if not self._thread.is_alive() or not self._readable(0):
                    break
            time.sleep(0.002)
        with self._lock:
            end = bytes(self._tail[-most_bytes:])
        # They are shown on terminals, and a model chooses what its kernels print.
        return printable(end.decode("utf-8", errors="replace"))

    def close(self) -> None:
        """Takes the last of it; the end of the process group has closed the other side."""
        self._thread.join(SETTLE_S)
        if not self._thread.is_alive():
            self._stream.close()


class WorkerProcess:
    """One process in a session of its own, with a request pipe, a reply pipe and limits.

    The worker gets the descriptors of its pipe ends and this process's id as its last arguments.

    Args:
        command: the program and its arguments.
        environment: all of its environment.
        folder: its working directory.
        memory_bytes: resident memory past which the whole process group is killed.
        address_space_bytes: RLIMIT_AS, so that one huge allocation fails inside TensorFlow and
            the worker lives on; None for devices that reserve address space freely.
        scratch: the folder of its own that the worker writes to.
        disk_bytes: no file that it writes grows larger, and past so much in ``scratch`` the whole
            process group is killed; None for no limit.
        cores: what it runs on, and all that it starts; None for all that this process has.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        memory_bytes: int,
        address_space_bytes: int | None,
        scratch: Path,
        disk_bytes: int | None = None,
        cores: Iterable[int] | None = None,
    ) -> None:
        request_read, self._requests = os.pipe()
        self._replies, reply_write = os.pipe()
        try:
            # Not afterwards: the threads that it has by then would stay where they are.
            with pinned(cores):
                self._popen = subprocess.Popen(
                    [*command, str(request_read), str(reply_write), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    cwd=folder,
                    pass_fds=(request_read, reply_write),
                    start_new_session=True,
                )
        except OSError:
            os.close(self._requests)
            os.close(self._replies)
            raise
        finally:
            # Else the end of the worker would not close the pipes.
            os.close(request_read)
            os.close(reply_write)
        self.pid = self._popen.pid
        self._limit(address_space_bytes, disk_bytes)
        assert self._popen.stdout is not None
        self._output = OutputTail(self._popen.stdout)
        self._received = bytearray()
        self._ending = threading.Lock()
        self._ended = threading.Event()
        self._memory_bytes = memory_bytes
        self._scratch = scratch
        self._disk_bytes = disk_bytes
        self._killed_for = ""
        self._timed_out = False
        self._watch = threading.Thread(target=self._watch_limits, daemon=True)
        self._watch.start()

    def _limit(self, address_space_bytes: int | None, file_bytes: int | None) -> None:
        # From outside: the interpreter cannot have mapped more than itself at this moment.
        limits = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_AS: address_space_bytes,
            resource.RLIMIT_FSIZE: file_bytes,
        }
        with contextlib.suppress(ProcessLookupError):
            for what, limit in limits.items():
                if limit is not None:
                    resource.prlimit(self.pid, what, (limit, limit))

    def _watch_limits(self) -> None:
        looked = time.monotonic()
        while not self._ended.wait(MEMORY_WATCH_PERIOD_S):
            if _resident_bytes(self.pid) > self._memory_bytes:
                self._signal_group(f"memory above {self._memory_bytes / 2**30:.3g} GiB")
            if time.monotonic() - looked > DISK_WATCH_PERIOD_S:
                looked = time.monotonic()
                self._check_disk()

    def _check_disk(self) -> None:
        limit = self._disk_bytes
        if limit is not None and tree_bytes(self._scratch) > limit:
            self._signal_group(f"more than {limit / 2**30:.3g} GiB written (limits.disk)")

    @property
    def alive(self) -> bool:
        """Whether requests can be sent: False too for a worker that died while nobody asked."""
        return not self._ended.is_set() and not self._has_exited()

    def _has_exited(self) -> bool:
        # Left to be reaped by kill(), so that its id stays its own until then.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.pid, options) is not None
        except ChildProcessError:
            return True

    def last_words(self) -> str:
        """The last 4 KiB that the worker printed."""
        return self._output.last_words()

    def exchange(self, request: bytes, timeout_s: float) -> bytes:
        """Sends one line and waits for one line.

        Raises:
            WorkerFailure: always fatal: the worker died, or was killed past ``timeout_s``.
        """
        if self._ended.is_set():
            raise self._failure()
        deadline = time.monotonic() + timeout_s
        try:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._requests, request)
            end = self._received.find(b"\n")
            while end < 0:
                chunk = self._receive(deadline, timeout_s)
                within = chunk.find(b"\n")
                end = within if within < 0 else len(self._received) + within
                self._received += chunk
                self._check_length(end)
        except BaseException:
            # After an interrupt the worker would answer a question that nobody asks any more.
            self.kill()
            raise
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _check_length(self, end: int) -> None:
        if end < 0 and len(self._received) > LONGEST_REPLY_BYTES:
            self._received.clear()
            raise self.broken(f"a reply of more than {LONGEST_REPLY_BYTES} bytes")

    def broken(self, what: str) -> WorkerFailure:
        """Ends a worker that did what no worker does; the failure to raise."""
        self._signal_group(f"the worker broke the protocol: {what}")
        self.kill()
        return self._failure()

    def _receive(self, deadline: float, timeout_s: float) -> bytes:
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        if not poll.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
            self._timed_out = True
            self._signal_group(f"timeout after {timeout_s:g} s")
        elif chunk := os.read(self._replies, 2**20):
            return chunk
        else:
            self._await_exit()
        self.kill()
        raise self._failure()

    def _await_exit(self) -> None:
        """Lets a worker that has closed its pipe finish, so that its own exit status is seen."""
        deadline = time.monotonic() + EXIT_GRACE_S
        while time.monotonic() < deadline and not self._has_exited():
            time.sleep(0.005)

    def _failure(self) -> WorkerFailure:
        cause = self._killed_for or exit_cause(self._popen.returncode)
        return WorkerFailure(cause, self.last_words(), fatal=True, timed_out=self._timed_out)

    def kill(self) -> None:
        """Ends the whole process group and frees what it held; harmless if that was done."""
        if self._ended.is_set():
            return
        self._signal_group("")
        with self._ending:
            self._popen.wait()
            self._ended.set()
        self._output.close()
        os.close(self._requests)
        os.close(self._replies)

    def _signal_group(self, reason: str) -> None:
        with self._ending:
            if not self._ended.is_set():
                self._killed_for = self._killed_for or reason
                # Reaped by a kill() that was interrupted, its id may name another group.
                if self._popen.returncode is None:
                    os.killpg(self.pid, signal.SIGKILL)


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def exit_cause(status: int) -> str:
    """``SIGSEGV`` for a death by signal, ``exit status 1`` else."""
    if status >= 0:
        return f"exit status {status}"
    known = {member.value: member.name for member in signal.Signals}
    return known.get(-status, f"signal {-status}")
