"""What a study is doing right now, told as it changes."""

from __future__ import annotations

from typing import Any

from amp_tuner.results.event_log import EventLog


class Phases:
    """Tells each phase of a study, and within it each step of its bench.

    Args:
        log: gets the events ``phase``.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._now: dict[str, Any] = {"phase": "loading"}

    def enter(self, phase: str, **about: int) -> None:
        """Something else is being done from now on; the same again is not told.

        Args:
            phase: one of those of the event ``phase``.
            about: its trial, its position.
        """
        now = {"phase": phase, **about}
        if now == self._now:
            return
        self._now = now
        self._log.write("phase", self._now)

    def step(self, step: str, **about: float) -> None:
        """Within the phase, the bench does something else from now on."""
        self._log.write("phase", {**self._now, "step": step, **about})
