from __future__ import annotations

import sys

import pytest

from amp_tuner.errors import InputError, Problem, RewriteError, TargetError, WorkerFailure
from amp_tuner.worker import protocol
from amp_tuner.worker.main import ACTIONS, CAUSE_LENGTH, Worker, answer, check_python, failure


def test_every_action_of_the_protocol_is_dispatched() -> None:
    assert tuple(ACTIONS) == protocol.ACTIONS


def test_an_old_python_is_refused() -> None:
    check_python((3, 9))
    with pytest.raises(TargetError, match=f"{sys.executable} is Python 3.8; allowed: 3.9 or newer"):
        check_python((3, 8))


def test_the_users_problems_stay_apart() -> None:
    told = failure(InputError([Problem("$.a", "one"), Problem("$.b", "two")]))
    assert told["kind"] == "input"
    assert told["problems"] == [["$.a", "one"], ["$.b", "two"]]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (TargetError("no GPU"), "target", "no GPU"),
        (WorkerFailure("the pass failed", fatal=False), "failed", "the pass failed"),
        (RewriteError("conflict"), "failed", "RewriteError: conflict"),
        (ValueError("\n\n  first\nsecond"), "failed", "ValueError: first"),
        (MemoryError(), "failed", "MemoryError"),
    ],
)
def test_a_cause_is_short(error: Exception, kind: str, message: str) -> None:
    assert failure(error) == {"kind": kind, "message": message}


def test_a_long_first_line_is_cut() -> None:
    assert len(failure(ValueError("x" * 10_000))["message"]) == CAUSE_LENGTH


def test_a_failing_action_is_an_answer(capfd: pytest.CaptureFixture[str]) -> None:
    reply = answer(Worker(), {"id": 3, "action": "dance"})
    assert reply == {"id": 3, "error": {"kind": "failed", "message": "KeyError: 'dance'"}}
    assert "Traceback" in capfd.readouterr().err
