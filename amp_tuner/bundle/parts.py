"""Which files of a bundle go into which part. Plain arithmetic; nothing is read or written.

Files are taken in order: what every setting needs, then setting by setting what it adds. A part is
filled up before the next one begins. A file that no part can hold is cut into byte ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: What a piece takes beside its bytes: twice its member's name in the archive, once among the
#: checksums, once in the part's description.
PIECE_BYTES = 800
#: What a setting's name takes in the part's description.
SETTING_BYTES = 100


@dataclass(frozen=True)
class Piece:
    """Bytes [offset, offset + length) of a file."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True)
class Plan:
    """One part.

    Attributes:
        pieces: of files.
        settings: those whose last file is here.
        needs: positions (from 0) of the other parts that hold what these settings read.
    """

    pieces: tuple[Piece, ...]
    settings: tuple[str, ...]
    needs: tuple[int, ...]


def plan_parts(
    files: Mapping[str, int],
    shared: Sequence[str],
    settings: Mapping[str, Sequence[str]],
    room_bytes: int,
) -> tuple[Plan, ...]:
    """Parts that hold every file once.

    Args:
        files: name to size in bytes.
        shared: files that every setting needs.
        settings: setting to the files that it needs besides, the one that is its own last.
        room_bytes: what pieces may take in one part; above PIECE_BYTES + SETTING_BYTES.
    """
    packer = _Packer(files, room_bytes)
    for file in shared:
        packer.add(file)
    for name, needed in settings.items():
        for file in needed:
            packer.add(file)
        packer.add_setting(name)
    return tuple(
        Plan(tuple(pieces), tuple(names), packer.needed(position, shared, settings))
        for position, (pieces, names) in enumerate(zip(packer.pieces, packer.settings))
    )


def cut_files(plans: Iterable[Plan]) -> list[str]:
    """Files that lie in several pieces, in order."""
    return list(
        dict.fromkeys(piece.file for plan in plans for piece in plan.pieces if piece.offset > 0)
    )


class _Packer:
    """Fills parts one after the other."""

    def __init__(self, files: Mapping[str, int], room_bytes: int) -> None:
        self._files = files
        self._room_bytes = room_bytes
        self._left_bytes = room_bytes
        self._where: dict[str, set[int]] = {}
        self.pieces: list[list[Piece]] = [[]]
        self.settings: list[list[str]] = [[]]

    def add(self, file: str) -> None:
        if file in self._where:
            return
        self._where[file] = set()
        size, offset = self._files[file], 0
        fits_a_part = size + PIECE_BYTES + SETTING_BYTES <= self._room_bytes
        if fits_a_part and size + PIECE_BYTES + SETTING_BYTES > self._left_bytes:
            self._next()
        while offset < size or not self._where[file]:
            if self._left_bytes <= PIECE_BYTES + SETTING_BYTES:
                self._next()
            length = min(size - offset, self._left_bytes - PIECE_BYTES - SETTING_BYTES)
            self.pieces[-1].append(Piece(file, offset, length))
            self._where[file].add(len(self.pieces) - 1)
            self._left_bytes -= length + PIECE_BYTES
            offset += length

    def add_setting(self, name: str) -> None:
        # Each piece has left room for one.
        self.settings[-1].append(name)
        self._left_bytes -= SETTING_BYTES

    def _next(self) -> None:
        self.pieces.append([])
        self.settings.append([])
        self._left_bytes = self._room_bytes

    def needed(
        self, position: int, shared: Sequence[str], settings: Mapping[str, Sequence[str]]
    ) -> tuple[int, ...]:
        names = self.settings[position]
        read = [*(shared if names else ()), *(file for name in names for file in settings[name])]
        return tuple(sorted({where for file in read for where in self._where[file]} - {position}))
