"""Builders of data files that are after something."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from tests.hostile_models import pickled_npz


def pickled(path: Path, mark: Path) -> Path:
    """An ``.npz`` that leaves a mark if it is unpickled; its array is named ``0``."""
    path.write_bytes(pickled_npz(mark))
    return path


def claiming(path: Path, name: str, shape: tuple[int, ...]) -> Path:
    """An ``.npz`` whose float32 array claims a shape, in its header and in the archive's."""
    header = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(header, description)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", header.getvalue() + bytes(1 << 16))
        size_bytes = 4 * int(np.prod(shape, dtype=object))
        archive.filelist[0].file_size = len(header.getvalue()) + size_bytes
    return path


def leading_out(path: Path, name: str) -> Path:
    """An ``.npz`` with an array whose name leads out of any folder."""
    stream = io.BytesIO()
    np.save(stream, np.zeros((100, 4, 4), np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", stream.getvalue())
    return path


def with_header(path: Path, name: str, header: str) -> Path:
    """An ``.npz`` whose one array has a header of any text."""
    text = f"{header}\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        content = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text
        archive.writestr(f"{name}.npy", content)
    return path
