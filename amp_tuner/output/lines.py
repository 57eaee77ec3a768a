"""Files that grow by whole lines: the log, the table of trials, Optuna's journal.

An append is one write to the operating system, so a killed writer leaves at most one torn line at
the end. It is cut off when the file is opened again. One writer at a time.
"""

from __future__ import annotations

import os
from pathlib import Path

from amp_tuner.files import sync_folder


class LineFile:
    """A file open for appending.

    Args:
        path: the file; made if it is not there, a torn last line is cut off.

    Attributes:
        cut_bytes: how much of a torn line was cut off.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.cut_bytes = _cut_torn_line(self._handle)
        sync_folder(path.parent)

    def append(self, lines: bytes, *, durable: bool = False) -> None:
        """Adds whole lines.

        Args:
            lines: each with its line feed.
            durable: they are on the disk when this returns, and survive a power cut.

        Raises:
            OSError: they cannot be written (a full disk); the file keeps what it had.
        """
        size = self.size_bytes()
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._handle, lines[written:])
            if durable:
                os.fsync(self._handle)
        except OSError:
            os.ftruncate(self._handle, size)
            raise

    def size_bytes(self) -> int:
        """The file's size."""
        return os.fstat(self._handle).st_size

    def close(self) -> None:
        """Closes the file; calling it again does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _cut_torn_line(handle: int) -> int:
    """Leaves only whole lines, reading backwards: a file may be long."""
    size = end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - 4096)
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return size - end
