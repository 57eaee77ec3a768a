"""Files appear whole or not at all: written beside their place, flushed, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Optional

#: As :func:`whole_file` names what is not whole yet.
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}")


@contextlib.contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that replaces ``path`` when the block ends, and only then.

    If the block raises (a full disk, say), ``path`` keeps what it had and nothing else is left. A
    link at ``path`` is replaced, not followed.

    Args:
        path: where to; missing folders are made.
        shared: others may read it as far as the umask lets them; else it is the user's alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    mode = 0o666 if shared else 0o600
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise


def remove_leftovers(folder: Path) -> None:
    """Removes what killed writers of :func:`whole_file` left; nobody may be writing below there."""
    for path in folder.rglob(".*"):
        if _LEFTOVER.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes what files a folder has survive a power cut: their contents alone are not enough."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Writes ``text`` as UTF-8, whole or not at all; ``shared`` as for :func:`whole_file`."""
    with whole_file(path, shared=shared) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any, *, shared: bool = False) -> None:
    """Writes ``value`` as one JSON document, whole or not at all; NaN and Inf are refused."""
    write_text(path, json.dumps(value, allow_nan=False), shared=shared)


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """What this process and those that it starts write meanwhile is the user's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def tree_bytes(root: Path, but: Optional[Path] = None) -> int:
    """Bytes of the files below a folder; one folder (``but``) may be left out.

    What vanishes meanwhile counts for nothing; links are not followed.
    """
    total = 0
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if Path(folder, name) != but]
        total += sum(size_bytes(Path(folder, name)) for name in files)
    return total


def size_bytes(path: Path) -> int:
    """The size of a file; 0 where there is none."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def digest(path: Path) -> str:
    """SHA-256 over a file, or over a folder's files with their names, as ``sha256:…``.

    Read in pieces, so that a model larger than memory is no problem.
    """
    total = hashlib.sha256()
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    for file in files:
        total.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while piece := content.read(1 << 20):
                total.update(piece)
    return f"sha256:{total.hexdigest()}"
