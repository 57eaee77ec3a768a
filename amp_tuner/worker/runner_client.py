"""The tuner's side of one live runner: a method for each of its actions.

Standard library only: a device machine that no tuner reaches asks its runner in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amp_tuner.worker.conversation import Conversation, duration_s, run_times_s, seconds


class RunnerClient:
    """One live runner process; methods raise what :class:`Conversation` does.

    Args:
        conversation: with the runner.
        facts: what it says of itself: software, device.
    """

    def __init__(self, conversation: Conversation, facts: dict[str, Any]) -> None:
        self._conversation = conversation
        self.facts = facts

    @property
    def timeout_s(self) -> float:
        """Seconds that a request may take before the runner is killed."""
        return self._conversation.timeout_s

    @timeout_s.setter
    def timeout_s(self, seconds: float) -> None:
        self._conversation.timeout_s = seconds

    @property
    def pid(self) -> int:
        """The runner's process id, which is its process group's too."""
        return self._conversation.process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._conversation.process.alive

    def load(self, data: Mapping[str, Any], inputs: Sequence[str]) -> None:
        """Takes samples (the fields of a DataSource); ``inputs`` gives the arguments' order."""
        self._conversation.ask("load", dict, data=dict(data), inputs=list(inputs))

    def build(self, key: str, manifest: Path) -> tuple[float, float]:
        """Compiles an artifact and runs it once; seconds of all of it, and of compiling."""
        return self._conversation.ask("build", _build_times_s, key=key, manifest=str(manifest))

    def outputs(self, key: str, start: int, stop: int, path: Path, names: Sequence[str]) -> float:
        """Writes outputs of samples [start, stop) by name; seconds that inference took."""
        where = str(path.absolute())
        wanted = {"start": start, "stop": stop, "path": where, "names": list(names)}
        return self._conversation.ask("outputs", seconds, key=key, **wanted)

    def block(self, key: str, first_batch: int, runs: int) -> tuple[float, ...]:
        """Seconds of each of ``runs`` runs, awaited on the device."""
        request = {"key": key, "first_batch": first_batch, "runs": runs}
        return self._conversation.ask("block", run_times_s, **request)

    def drop(self, key: str) -> None:
        """Frees a program and the weights that only it reads."""
        self._conversation.ask("drop", dict, key=key)

    def last_words(self) -> str:
        """The last 4 KiB that it printed."""
        return self._conversation.process.last_words()

    def close(self) -> None:
        """Ends it."""
        self._conversation.process.kill()


def _build_times_s(answer: dict[str, Any]) -> tuple[float, float]:
    """Of a build, all of it and compiling."""
    return seconds(answer), duration_s(answer["compile_s"])
