"""Who follows a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from amp_tuner.results.event_log import Event


class Follower(Protocol):
    """Who follows a run: a screen, a program."""

    def follow(self, event: Event) -> None:
        """An event has happened, and stands in the log."""

    def recall(self, ended: Iterable[Mapping[str, Any]]) -> None:
        """The facts of trials that ended in earlier runs."""
