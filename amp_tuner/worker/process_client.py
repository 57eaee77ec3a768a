"""What the tuner's side of every live process has: its limits, its blocks of runs, its last words.

Standard library only: a device machine that no tuner reaches asks its runner in the same way.
"""

from __future__ import annotations

from amp_tuner.worker.conversation import Conversation, run_times_s


class ProcessClient:
    """One live process that runs models; methods raise what :class:`Conversation` does."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    @property
    def timeout_s(self) -> float:
        """Seconds that a request may take before the process is killed; may be changed."""
        return self._conversation.timeout_s

    @timeout_s.setter
    def timeout_s(self, seconds: float) -> None:
        self._conversation.timeout_s = seconds

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's too."""
        return self._conversation.process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked; False after a fatal failure and after close()."""
        return self._conversation.process.alive

    def block(self, key: str, first_batch: int, runs: int) -> tuple[float, ...]:
        """Seconds of each of ``runs`` runs, cycling through the timing batches."""
        request = {"key": key, "first_batch": first_batch, "runs": runs}
        return self._conversation.ask("block", run_times_s, **request)

    def drop(self, key: str) -> None:
        """Frees what a built setting holds."""
        self._conversation.ask("drop", dict, key=key)

    def last_words(self) -> str:
        """The last 4 KiB that it printed."""
        return self._conversation.process.last_words()
