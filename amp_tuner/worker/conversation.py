"""Requests to one supervised process and its answers, errors as what they mean."""

from __future__ import annotations

import json
from typing import Any

from amp_tuner.errors import InputError, Problem, TargetError, WorkerFailure
from amp_tuner.worker.supervisor import WorkerProcess


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

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer.

        Raises:
            WorkerFailure: it failed; fatal where the process is gone.
            InputError: the user's model, data or setting is wrong.
            TargetError: it cannot be done there.
        """
        self._last_id += 1
        request = {"id": self._last_id, "action": action, **arguments}
        line = self.process.exchange(json.dumps(request).encode() + b"\n", self.timeout_s)
        reply = json.loads(line)
        if "error" in reply:
            raise self._error(reply["error"])
        answer: dict[str, Any] = reply["ok"]
        return answer

    def _error(self, error: dict[str, Any]) -> InputError | TargetError | WorkerFailure:
        kind, message = error["kind"], error["message"]
        if kind == "input":
            return InputError(Problem(where, text) for where, text in error["problems"])
        if kind == "target":
            return TargetError(message)
        return WorkerFailure(message, self.process.last_words(), fatal=False)
