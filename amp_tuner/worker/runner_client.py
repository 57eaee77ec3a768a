"""The tuner's side of one live runner: a method for each of its actions.

Standard library only: a device machine that no tuner reaches asks its runner in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amp_tuner.worker.conversation import Conversation, duration_s, seconds
from amp_tuner.worker.process_client import ProcessClient


class RunnerClient(ProcessClient):
    """One live runner process; methods raise what :class:`Conversation` does.

    Args:
        conversation: with the runner.
        facts: what it says of itself: software, device.
    """

    def __init__(self, conversation: Conversation, facts: dict[str, Any]) -> None:
        super().__init__(conversation)
        self.facts = facts

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

    def close(self) -> None:
        """Ends it."""
        self._conversation.process.kill()


def _build_times_s(answer: dict[str, Any]) -> tuple[float, float]:
    """Of a build, all of it and compiling."""
    return seconds(answer), duration_s(answer["compile_s"])
