"""Small pieces of text that several messages share."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable
from types import ModuleType


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the closest allowed word, or nothing."""
    close = difflib.get_close_matches(found, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def printable(text: str) -> str:
    """``text`` without what moves a terminal's cursor or changes its colours or its title.

    Line breaks and tabs stay; other control characters stand as Python writes them in a string.
    """
    return "".join(
        char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text
    )


def one_line(text: str) -> str:
    """``text`` on one line: what cannot be printed, line breaks included, becomes a space.

    Safe to stand in a comment or in a table; nothing in it can end the line.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def now() -> str:
    """This moment, ISO 8601 with offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    if minutes:
        return f"{minutes} min {rest:02d} s"
    return f"{rest} s" if seconds >= 10 else f"{seconds:.1f} s"


def public_functions(module: ModuleType) -> str:
    """What may be called in a module, in words: sorted names, or ``no functions``."""
    names = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
    return ", ".join(sorted(names)) or "no functions"
