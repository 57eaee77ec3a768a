"""The user's samples: checked against the model's signature, shuffled once, cut in two."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amp_tuner.config.model import StudyConfig
from amp_tuner.data.arrays import (
    ArrayHeader,
    BadArrays,
    iterate,
    read_array,
    read_headers,
    write_converted,
)
from amp_tuner.data.checks import fit
from amp_tuner.data.curves import curve_orders
from amp_tuner.data.functions import runner_for, write_function_data
from amp_tuner.errors import InputError
from amp_tuner.files import whole_file
from amp_tuner.worker.protocol import DataSource, LoadedModel

#: The order of the samples is a property of the data: no study may choose a luckier one.
SPLIT_SEED = 0


@dataclass(frozen=True)
class DataSet:
    """Checked data.

    Attributes:
        npz_path: the file that the worker reads; types are the signature's.
        inputs: the signature's argument to the array's name.
        labels: shape (samples, ...), in sample order; None if the study names none.
        samples: how many there are.
        search: samples that trials are judged on; of a training step: loss curves.
        holdout: samples, or loss curves over samples, that are held back for the final figures.
        order_path: ``.npy``, int64, shape (samples,): sample i is row ``order[i]`` of the arrays.
            Of a training step: the samples of each step of each curve.
        digest: SHA-256 (``sha256:…``) of the arrays that are used, their names and types.
        batch_size: the study's, or the one that the model demands.
        first_rung: samples, or loss curves, that a setting is judged on at first.
        notices: what the user should know, one sentence each.
    """

    npz_path: Path
    inputs: Mapping[str, str]
    labels: NDArray[Any] | None
    samples: int
    search: range
    holdout: range
    order_path: Path
    digest: str
    batch_size: int
    first_rung: int
    notices: tuple[str, ...]

    def source(self, batch_size: int, timing_batches: int) -> DataSource:
        """What the worker is told."""
        return DataSource(
            str(self.npz_path), self.inputs, str(self.order_path), batch_size, timing_batches
        )


@dataclass(frozen=True)
class Slice:
    """Consecutive samples [start, stop) that accuracy is judged on, and FP32's outputs of them."""

    start: int
    stop: int
    reference: Any
    labels: Any


def open_data(config: StudyConfig, signature: LoadedModel, work: Path) -> DataSet:
    """Checks the study's data against the model and prepares it.

    Writes ``order.npy`` to ``work``, and ``data.npz`` if a function gives the data or an array
    must be converted to the signature's type.

    Args:
        config: the checked study file.
        signature: what the worker found in the model.
        work: an existing scratch folder, kept as long as the data is used.

    Raises:
        InputError: every problem with the arrays' names, types, shapes and lengths.
    """
    path, where = _data_file(config, work)
    try:
        fitted = fit(config.data, signature, read_headers(path), path, where)
        digest = _digest(path, fitted.arrays)
        labels = _labels(path, config.data.labels)
        used = path
        if fitted.conversions:
            used = work / "converted.npz"
            headers = {name: fitted.arrays[name] for name in fitted.inputs.values()}
            dtypes = {name: header.dtype for name, header in headers.items()}
            with whole_file(used) as file:
                write_converted(file, path, headers, {**dtypes, **fitted.conversions})
    except BadArrays as error:
        raise InputError.one(where, f"{path}: {error}") from error
    order = np.random.default_rng(SPLIT_SEED).permutation(fitted.samples).astype(np.int64)
    held_back = int(fitted.samples * config.data.holdout)
    searched = fitted.samples - held_back
    search, holdout = range(searched), range(searched, fitted.samples)
    batch_size = fitted.batch_size
    if config.training is not None:
        parts = order[:searched], order[searched:]
        order, search, holdout = curve_orders(config.training, *parts, batch_size)
    order_path = work / "order.npy"
    # By way of memory: NumPy's own writing to a full disk gives an error without its reason.
    content = io.BytesIO()
    np.save(content, order, allow_pickle=False)
    with whole_file(order_path) as file:
        file.write(content.getbuffer())
    return DataSet(
        npz_path=used,
        inputs=fitted.inputs,
        labels=None if labels is None else labels[order],
        samples=fitted.samples,
        search=search,
        holdout=holdout,
        order_path=order_path,
        digest=digest,
        batch_size=batch_size,
        first_rung=batch_size if config.training is None else 1,
        notices=fitted.notices,
    )


def _data_file(config: StudyConfig, work: Path) -> tuple[Path, str]:
    """The ``.npz`` and the key of the study file that names it."""
    if config.data.function is None:
        assert config.data.path is not None, "checks._data refused this"
        return config.data.path, "$.data.path"
    path = work / "data.npz"
    write_function_data(runner_for(config, work), config.data.function, path)
    return path, "$.data.function"


def _digest(path: Path, arrays: Mapping[str, ArrayHeader]) -> str:
    found = hashlib.sha256()
    for name, header in sorted(arrays.items()):
        found.update(f"{name}\0{header.dtype.str}\0{header.shape}\0{header.fortran}\0".encode())
        for chunk in iterate(path, name, header):
            found.update(chunk.tobytes())
    return f"sha256:{found.hexdigest()}"


def _labels(path: Path, name: str | None) -> NDArray[Any] | None:
    return None if name is None else read_array(path, name)
