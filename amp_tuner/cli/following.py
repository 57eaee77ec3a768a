"""Who follows a study from the command line: a live screen, plain lines, or JSON for programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from amp_tuner.cli.event_words import ended_words, failure_words, note_words, phase_words
from amp_tuner.cli.live_screen import LiveScreen, can_show
from amp_tuner.cli.terminal import make_console
from amp_tuner.results.event_log import Event, event_line, new_event
from amp_tuner.text import printable


class Following:
    """Follows a study in plain lines: one a trial, one a phase, notes.

    Args:
        console: where to; a quiet one shows the result only.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ended: Event | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """While the block runs, what is told is shown."""
        yield

    def recall(self, ended: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the facts of trials that ended in earlier runs; says nothing of them."""

    def follow(self, event: Event) -> None:
        """Says what happened."""
        name = event["event"]
        if name == "phase" and "step" not in event and event["phase"] not in ("trial", "counting"):
            self.say(phase_words(event))
        elif name == "ended":
            self._ended = event
        elif name == "progress" and self._ended is not None:
            self._say_if_any(ended_words(self._ended, event))
            self._ended = None
        else:
            self.note(note_words(event))

    def note(self, text: str | None) -> None:
        """Something that the user should know, if it is anything."""
        if text is not None:
            self.say(f"note: {text}")

    def result(self, table: Table, lines: Sequence[str]) -> None:
        """The table and the sentences at the end; shown even if quiet."""
        make_console().print(table)
        self.answer(lines)

    def answer(self, lines: Sequence[str]) -> None:
        """The sentences at the end; shown even if quiet."""
        console = make_console()
        for line in lines:
            console.print()
            console.print(Text(printable(line)))

    def say(self, text: str) -> None:
        """Shows a line, as it is: nothing in it is markup."""
        self._console.print(Text(printable(text)))

    def _say_if_any(self, text: str | None) -> None:
        if text is not None:
            self.say(text)


class FollowingLive(Following):
    """Follows a study on a live screen; failures and notes stay above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._screen = LiveScreen(console)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """While the block runs, the screen is there; it leaves nothing behind."""
        with self._screen.shown():
            yield

    def recall(self, ended: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the facts of trials that ended in earlier runs; they are in the picture."""
        for facts in ended:
            self._screen.take(new_event("ended", facts))

    def follow(self, event: Event) -> None:
        """Shows what happened."""
        if event["event"] == "ended":
            self._say_if_any(failure_words(event))
        self.note(note_words(event))
        self._screen.take(event)


class FollowingJson(Following):
    """Prints the log's own lines, and nothing else."""

    def follow(self, event: Event) -> None:
        """Prints the event."""
        print(event_line(event), flush=True)

    def result(self, table: Table, lines: Sequence[str]) -> None:
        """Nothing: the answer is an event."""

    def answer(self, lines: Sequence[str]) -> None:
        """Nothing: the same."""


def follower(*, quiet: bool = False, json_progress: bool = False) -> Following:
    """Who follows a study: a live screen where there can be one, plain lines elsewhere.

    Args:
        quiet: nothing but the result.
        json_progress: one JSON object a line, for programs.
    """
    console = make_console(quiet=quiet)
    if json_progress:
        return FollowingJson(console)
    return FollowingLive(console) if can_show(console) else Following(console)
