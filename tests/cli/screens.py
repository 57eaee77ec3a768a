"""Pseudo-terminals for tests, and what a person would see on them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

#: What a terminal is like unless a test says otherwise.
PLAIN_ENVIRONMENT = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
#: Would make it another one.
OTHER_ENVIRONMENT = (
    *("LC_ALL", "LC_CTYPE", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("COLUMNS", "LINES"),
)
_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|(\x1b)|(\r)|(\n)|([^\x1b\r\n]+)")


@dataclass
class Pseudo:
    """A pseudo-terminal.

    Attributes:
        end: the file descriptor of the side that programs write to.
        written: everything that was written so far, decoded.
    """

    end: int
    written: str = ""


@contextlib.contextmanager
def pseudo_terminal(*, columns: int, rows: int) -> Iterator[Pseudo]:
    """A pseudo-terminal that is read as long as the block runs."""
    reading, end = pty.openpty()
    termios.tcsetwinsize(end, (rows, columns))
    found = Pseudo(end)
    parts: list[bytes] = []

    def read() -> None:
        # Reading fails once nobody has the other side open.
        with contextlib.suppress(OSError):
            while part := os.read(reading, 65536):
                parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield found
    finally:
        os.close(end)
        reader.join()
        os.close(reading)
        found.written = b"".join(parts).decode("utf-8")


def set_environment(patch: pytest.MonkeyPatch, **changes: str) -> None:
    """Makes the environment that of a usual terminal but for ``changes``, for children too."""
    for name in OTHER_ENVIRONMENT:
        patch.delenv(name, raising=False)
    for name, value in {**PLAIN_ENVIRONMENT, **changes}.items():
        patch.setenv(name, value)


@dataclass
class Screen:
    """What stands on a terminal after something was written to it.

    It knows the few controls that live lines need; anything else is an error, and so is a line that
    does not fit.

    Attributes:
        columns: its width.
        rows: all of it, what scrolled away included.
        frames: the rows as they were whenever something was about to be redrawn.
    """

    columns: int
    rows: list[str] = field(default_factory=lambda: [""])
    frames: list[list[str]] = field(default_factory=list)
    _row: int = 0
    _column: int = 0
    _redrawing: bool = False

    def write(self, text: str) -> Screen:
        """Shows ``text``."""
        for match in _TOKEN.finditer(text):
            options, control, alone, carriage, line, plain = match.groups()
            assert alone is None, f"an unknown control: {text[match.start() :][:20]!r}"
            if control is not None:
                self._control(options, control)
            elif carriage is not None:
                self._column = 0
            elif line is not None:
                self._down()
            else:
                self._print(plain)
        return self

    def _control(self, options: str, control: str) -> None:
        if control == "m" or (control in "hl" and options == "?25"):
            return
        if not self._redrawing:
            self.frames.append([row.rstrip() for row in self.rows])
            self._redrawing = True
        if control == "A":
            self._row -= int(options)
            assert self._row >= 0
        else:
            assert (options, control) == ("2", "K"), f"an unknown control: {options}{control}"
            self.rows[self._row] = ""

    def _down(self) -> None:
        self._redrawing = False
        self._column = 0
        self._row += 1
        if self._row == len(self.rows):
            self.rows.append("")

    def _print(self, text: str) -> None:
        self._redrawing = False
        assert text.isprintable(), f"not printable: {text!r}"
        row = self.rows[self._row].ljust(self._column)
        self.rows[self._row] = row[: self._column] + text + row[self._column + len(text) :]
        self._column += len(text)
        assert self._column <= self.columns, f"wider than {self.columns}: {text!r}"
