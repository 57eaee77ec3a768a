"""Samples of the user's data as batches that a session takes as they are.

NumPy only. Arrays have their samples along the first dimension.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from amp_tuner.errors import InputError
from amp_tuner.files import whole_file
from amp_tuner.worker.protocol import DataSource, TensorInfo

Array = Any
#: One value per input of the signature, in the signature's order.
Feed = tuple[Array, ...]


class Batches:
    """The data behind a loaded model.

    Args:
        source: which arrays, in which order, in which batches.
        inputs: the signature, in the order in which batches list their arrays.
        fixed_batch: the only batch size that the model takes, or None; wins over the source's.

    Raises:
        InputError: an input has no array, or there are no samples or no inputs.
    """

    def __init__(
        self, source: DataSource, inputs: Sequence[TensorInfo], fixed_batch: Optional[int]
    ) -> None:
        self._order = np.load(source.order, allow_pickle=False)
        self._arrays = _load_arrays(source, inputs)
        self._fixed = fixed_batch is not None
        self.batch_size = fixed_batch or source.batch_size
        self.samples = len(self._order)
        if not self.samples:
            raise InputError.one(source.order, "no samples: at least one is needed")
        whole = max(1, self.samples // self.batch_size)
        self._timing = tuple(
            self._feed(batch * self.batch_size, (batch + 1) * self.batch_size)
            for batch in range(min(whole, source.timing_batches))
        )

    @property
    def timing(self) -> tuple[Feed, ...]:
        """The distinct batches that timing cycles through, made once."""
        return self._timing

    @property
    def timing_bytes(self) -> int:
        """Bytes of those batches; of strings, their own."""
        return sum(
            sum(map(len, array.flat)) if array.dtype.kind == "O" else array.nbytes
            for feed in self._timing
            for array in feed
        )

    def feeds(self, start: int, stop: int) -> Iterator[tuple[Feed, int]]:
        """Batches over samples [start, stop) in order, each with its number of real samples.

        The last one may be smaller; where the model takes one size only, it is filled up by
        repeating its last sample.
        """
        for first in range(start, stop, self.batch_size):
            last = min(first + self.batch_size, stop)
            yield self._feed(first, last), last - first

    def _feed(self, start: int, stop: int) -> Feed:
        rows = self._order[start:stop]
        if self._fixed and len(rows) < self.batch_size:
            rows = np.pad(rows, (0, self.batch_size - len(rows)), mode="edge")
        # Taking rows makes a new contiguous array: nothing is left to copy when it is fed.
        return tuple(_strings(array[rows]) for array in self._arrays)


def _load_arrays(source: DataSource, inputs: Sequence[TensorInfo]) -> tuple[Array, ...]:
    if not inputs:
        raise InputError.one("$.model", "the signature has no inputs: there is nothing to feed")
    with np.load(source.path, allow_pickle=False) as file:
        missing = [info.name for info in inputs if source.inputs.get(info.name) not in file]
        if missing:
            raise InputError.one(
                source.path, f"no array for input {', '.join(missing)}; arrays: {sorted(file)}"
            )
        # With the suffix: another member may have the name without it.
        return tuple(file[f"{source.inputs[info.name]}.npy"] for info in inputs)


def _strings(array: Array) -> Array:
    """TensorFlow takes strings as objects; ``U`` becomes UTF-8."""
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    return array.astype(object) if array.dtype.kind == "S" else array


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an ``.npz`` of any array names, whole or not at all; string objects become bytes."""
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # np.savez would take a name such as "file" for its own argument.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _plain(array), allow_pickle=False)


def _plain(array: Array) -> Array:
    if array.dtype.kind == "O":
        return array.astype("S")
    # bfloat16 is no type of NumPy's own; float32 holds each of its values.
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
