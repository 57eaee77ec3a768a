"""Requests to one supervised process and its answers, errors as what they mean."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from amp_tuner.errors import AmpTunerError, InputError, Problem, TargetError, WorkerFailure
from amp_tuner.text import one_line
from amp_tuner.worker.supervisor import WorkerProcess

Answer = TypeVar("Answer")
Error = InputError | TargetError | WorkerFailure
#: What reading a reply raises that no worker gives.
_NO_REPLY = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_SHOWN = 200


class Conversation:
    """The tuner's end of the two pipes.

    Attributes:
        process: who answers.
        timeout_s: seconds that a request may take before the process is killed; may be changed
            between requests.
    """

    def __init__(self, process: WorkerProcess, timeout_s: float) -> None:
        self.process = process
        self.timeout_s = timeout_s
        self._last_id = 0

    def ask(
        self, action: str, read: Callable[[dict[str, Any]], Answer], **arguments: Any
    ) -> Answer:
        """What ``read`` makes of the answer; a reply that no worker gives ends the process.

        Raises:
            WorkerFailure: it failed; fatal where the process is gone.
            InputError: the user's model, data or setting is wrong.
            TargetError: it cannot be done there.
        """
        self._last_id += 1
        request = {"id": self._last_id, "action": action, **arguments}
        line = self.process.exchange(json.dumps(request).encode() + b"\n", self.timeout_s)
        try:
            answer = self._answer(line, read)
        except _NO_REPLY as error:
            # A kernel that wrote past its memory may have changed anything in that process.
            what = f"{type(error).__name__}: {error}"
            raise self.process.broken(what[:_SHOWN]) from error
        if isinstance(answer, AmpTunerError):
            raise answer
        return answer

    def _answer(self, line: bytes, read: Callable[[dict[str, Any]], Answer]) -> Answer | Error:
        reply = json.loads(line, parse_constant=_refused)
        if reply["id"] != self._last_id:
            raise ValueError(f"an answer to request {reply['id']!r}, not to {self._last_id}")
        return self._error(**reply["error"]) if "error" in reply else read(reply["ok"])

    def _error(self, kind: str, message: str, problems: Sequence[Sequence[str]] = ()) -> Error:
        if kind == "input":
            return InputError(Problem(str(where), str(text)) for where, text in problems)
        if kind == "target":
            return TargetError(message)
        return WorkerFailure(one_line(message), self.process.last_words(), fatal=False)


def seconds(answer: dict[str, Any]) -> float:
    """How long a request took, as the process says."""
    return duration_s(answer["seconds"])


def run_times_s(answer: dict[str, Any]) -> tuple[float, ...]:
    """Seconds of each run of a block."""
    return tuple(duration_s(run_s) for run_s in answer["run_s"])


def duration_s(value: Any) -> float:
    """A duration in seconds.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is no duration")
    return float(value)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
