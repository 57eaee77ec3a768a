"""A worker whose memory a kernel has overwritten may say anything; the tuner lives on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amp_tuner.errors import WorkerFailure
from amp_tuner.worker import supervisor
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.conversation import Conversation
from amp_tuner.worker.protocol import Threads
from amp_tuner.worker.supervisor import WorkerProcess

Liar = Callable[[str], WorkerClient]


@pytest.fixture
def liar(tmp_path: Path) -> Iterator[Liar]:
    """Starts a process that answers the first request with a line of the test's choice."""
    clients: list[WorkerClient] = []

    def start(expression: str) -> WorkerClient:
        program = (
            "import os, sys, time\n"
            "os.read(int(sys.argv[1]), 65536)\n"
            f"with os.fdopen(int(sys.argv[2]), 'wb') as replies: replies.write({expression})\n"
            "time.sleep(60)\n"
        )
        process = WorkerProcess(
            [sys.executable, "-c", program],
            {"PATH": os.environ["PATH"]},
            tmp_path,
            memory_bytes=1 << 30,
            address_space_bytes=None,
            scratch=tmp_path,
        )
        clients.append(
            WorkerClient(
                Conversation(process, timeout_s=30),
                threads=Threads(),
                scratch=tmp_path,
                dropped_variables=(),
            )
        )
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def block(client: WorkerClient) -> tuple[float, ...]:
    return client.block("candidate", 0, 1)


def test_a_true_reply_is_believed(liar: Liar) -> None:
    client = liar("""b'{"id": 1, "ok": {"run_s": [0.5, 2]}}\\n'""")
    assert block(client) == (0.5, 2.0)
    assert client.alive


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"Traceback (most recent call last):",
        b"7",
        b"[]",
        b"null",
        b"{}",
        b'{"id": 1}',
        b'{"id": 2, "ok": {"run_s": [1]}}',
        b'{"id": 1, "ok": null}',
        b'{"id": 1, "ok": {}}',
        b'{"id": 1, "ok": {"run_s": 1}}',
        b'{"id": 1, "ok": {"run_s": ["1"]}}',
        b'{"id": 1, "ok": {"run_s": [NaN]}}',
        b'{"id": 1, "ok": {"run_s": [Infinity]}}',
        b'{"id": 1, "ok": {"run_s": [1e999]}}',
        b'{"id": 1, "ok": {"run_s": [-1]}}',
        b'{"id": 1, "ok": {"run_s": [' + b"9" * 5000 + b"]}}",
        b'{"id": 1, "error": 3}',
        b'{"id": 1, "error": {}}',
        b'{"id": 1, "error": {"kind": "input", "message": "x", "problems": [1]}}',
        b'{"id": 1, "error": {"kind": "failed"}}',
    ],
)
def test_a_reply_that_no_worker_gives_is_a_failed_trial(liar: Liar, line: bytes) -> None:
    client = liar(repr(line + b"\n"))
    with pytest.raises(WorkerFailure, match="the worker broke the protocol: ") as failure:
        block(client)
    assert failure.value.fatal
    assert len(failure.value.cause) < 300
    assert not client.alive


def test_a_reply_nested_without_end_is_a_failed_trial(liar: Liar) -> None:
    with pytest.raises(WorkerFailure, match="broke the protocol: RecursionError"):
        block(liar("b'[' * 100_000 + b'\\n'"))


def test_a_line_without_end_does_not_fill_the_tuners_memory(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_REPLY_BYTES", 1 << 20)
    with pytest.raises(WorkerFailure, match="a reply of more than 1048576 bytes"):
        block(liar("b'x' * (64 << 20)"))


def test_a_cause_is_one_line_that_leaves_the_terminal_alone(liar: Liar) -> None:
    line = rb'{"id": 1, "error": {"kind": "failed", "message": "a\u001b[2J\nb"}}'
    with pytest.raises(WorkerFailure) as failure:
        block(liar(repr(line + b"\n")))
    assert failure.value.cause == "a [2J b"


def test_last_words_leave_the_terminal_alone(tmp_path: Path) -> None:
    process = WorkerProcess(
        [sys.executable, "-c", "print('a\\x1b[2J\\x07b\\tc\\nd')"],
        {"PATH": os.environ["PATH"]},
        tmp_path,
        memory_bytes=1 << 30,
        address_space_bytes=None,
        scratch=tmp_path,
    )
    with pytest.raises(WorkerFailure) as failure:
        process.exchange(b"go\n", 30)
    assert failure.value.last_words == "a\\x1b[2J\\x07b\tc\nd\n"
