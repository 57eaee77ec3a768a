"""Archives with checksums: what a bundle's parts and its results travel in. NumPy-free."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from amp_tuner.bundle.run_bundle import CHUNK_BYTES, SUMS

#: A member's name and its content, in chunks.
Member = tuple[str, Iterable[bytes]]
#: Times of members say nothing, and would make equal archives differ.
_WHEN = (1980, 1, 1, 0, 0, 0)


def write_archive(file: IO[bytes], members: Iterable[Member]) -> None:
    """Writes members as they are, and then their checksums.

    Args:
        file: an open file; see ``whole_file``.
        members: in order.
    """
    lines = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, chunks in members:
            total = hashlib.sha256()
            with archive.open(zipfile.ZipInfo(name, _WHEN), "w", force_zip64=True) as member:
                for chunk in chunks:
                    total.update(chunk)
                    member.write(chunk)
            lines.append(f"{total.hexdigest()}  {name}\n")
        archive.writestr(zipfile.ZipInfo(SUMS, _WHEN), "".join(lines))


def read_range(path: Path, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Bytes of a file in chunks: ``length`` of them from ``offset`` on; None: all of the rest."""
    left = path.stat().st_size - offset if length is None else length
    with path.open("rb") as file:
        file.seek(offset)
        while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
