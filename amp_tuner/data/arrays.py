"""Arrays of an ``.npz`` without loading them: headers, and bytes in chunks. Never pickle."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_CHUNK_BYTES = 1 << 20
_SUFFIX = ".npy"
#: What a damaged or foreign file raises when it is read.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError)

#: What NumPy raises for a header that describes no array; Python's own parser reads it.
_NO_HEADER = (
    *(MemoryError, RecursionError, SyntaxError, TypeError, ValueError),
    tokenize.TokenError,
)
_SHOWN = 200


class BadArrays(ValueError):
    """The file is not an ``.npz`` of plain arrays; the message says why."""


@dataclass(frozen=True)
class ArrayHeader:
    """What an array is, from its header alone.

    Attributes:
        shape: its dimensions.
        dtype: its type; never one with Python objects.
        fortran: whether the first index changes fastest in the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool


def read_headers(path: Path) -> dict[str, ArrayHeader | str]:
    """Each array's header by name; a text where that array cannot be used, saying why.

    Raises:
        BadArrays: the file is no ``.npz``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(_SUFFIX)]
            if not members:
                raise BadArrays("the archive holds no arrays; allowed: an .npz of numpy.savez")
            return {info.filename[: -len(_SUFFIX)]: _header(archive, info) for info in members}
    except _DAMAGE as error:
        raise BadArrays(f"not an .npz file, or damaged: {error}; allowed: numpy.savez") from error


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayHeader | str:
    with archive.open(info) as file:
        try:
            header = _parse(file)
        except _NO_HEADER as error:
            return f"its header cannot be read: {''.join(str(error).splitlines()[:1])[:_SHOWN]}"
        start = file.tell()
    if header.dtype.hasobject:
        return (
            "it holds Python objects, which would need pickle; save text as "
            "numpy.array(values, dtype=str), and rows of equal length as numbers"
        )
    expected = math.prod(header.shape) * header.dtype.itemsize
    if info.file_size - start != expected:
        return f"it is damaged: {info.file_size - start} bytes, its shape says {expected}"
    return header


def _parse(file: IO[bytes]) -> ArrayHeader:
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, fortran, dtype = readers[version](file)
    return ArrayHeader(shape, dtype, fortran)


def read_array(path: Path, name: str) -> NDArray[Any]:
    """One array, whole.

    Raises:
        BadArrays: there is none of that name, it is damaged, or holds Python objects.
    """
    header = read_headers(path).get(name, "it is not there")
    if isinstance(header, str):
        raise BadArrays(f"array {name!r} cannot be used: {header}")
    try:
        # Not np.load: it would take a member of that name without the suffix for the array.
        with zipfile.ZipFile(path) as archive, archive.open(name + _SUFFIX) as file:
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            return array
    except (*_DAMAGE, ValueError) as error:
        raise BadArrays(f"array {name!r} is damaged: {error}") from error


def iterate(path: Path, name: str, header: ArrayHeader) -> Iterator[NDArray[Any]]:
    """The array's values in the file's order, in flat chunks of about a mebibyte.

    Raises:
        BadArrays: the file is damaged.
    """
    size = header.dtype.itemsize
    if size == 0:
        return
    step = max(1, _CHUNK_BYTES // size) * size
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name + _SUFFIX) as file:
            _parse(file)
            while chunk := file.read(step):
                yield np.frombuffer(chunk, header.dtype)
    except (*_DAMAGE, ValueError) as error:
        raise BadArrays(f"array {name!r} is damaged: {error}") from error


def write_arrays(file: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes an ``.npz``; array names are free, where numpy.savez keeps some for itself."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def write_converted(
    file: IO[bytes], path: Path, headers: Mapping[str, ArrayHeader], dtypes: Mapping[str, Any]
) -> None:
    """Writes arrays of ``path`` as an ``.npz``, each in the type that ``dtypes`` gives.

    Raises:
        BadArrays: ``path`` is damaged.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, header in headers.items():
            dtype = np.dtype(dtypes[name])
            description = {
                "descr": npy.dtype_to_descr(dtype),
                "fortran_order": header.fortran,
                "shape": header.shape,
            }
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as member:
                npy.write_array_header_2_0(member, description)
                for chunk in iterate(path, name, header):
                    member.write(chunk.astype(dtype).tobytes())
