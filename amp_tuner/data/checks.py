"""Whether the arrays of a data file fit a model's signature; every problem at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from amp_tuner.config.model import DataConfig
from amp_tuner.data.arrays import ArrayHeader, iterate
from amp_tuner.errors import InputError, Problem
from amp_tuner.text import did_you_mean
from amp_tuner.worker.protocol import LoadedModel, TensorInfo

_INPUTS = "$.data.inputs"
_LABELS = "$.data.labels"


@dataclass(frozen=True)
class Fitted:
    """Arrays that fit.

    Attributes:
        arrays: header of every array that is used, inputs and labels, by array name.
        inputs: the signature's argument to the array's name.
        conversions: array name to the type that it must be given.
        samples: the shared first dimension.
        batch_size: the study's, or the one that the model demands.
        notices: one sentence each.
    """

    arrays: Mapping[str, ArrayHeader]
    inputs: Mapping[str, str]
    conversions: Mapping[str, str]
    samples: int
    batch_size: int
    notices: tuple[str, ...]


def fit(
    data: DataConfig,
    signature: LoadedModel,
    headers: Mapping[str, ArrayHeader | str],
    path: Path,
    where: str,
) -> Fitted:
    """Matches arrays and signature.

    An array has its input's type, or one whose values fit it without loss (int64 that fit int32,
    float64 that are float32 values, uint8 for float32): those are converted, with a notice. Text
    is ``U`` or ``S``.

    Args:
        data: the study's ``data`` section.
        signature: the model's.
        headers: what the file holds, or why an array cannot be used.
        path: the file, whose values are read where a type must be converted.
        where: the study file's key that names the file.

    Raises:
        InputError: every problem that was found.
        BadArrays: the file is damaged.
    """
    names = {info.name: data.inputs.get(info.name, info.name) for info in signature.inputs}
    problems = list(_unknown_arguments(data, signature))
    wanted = [(f"{_INPUTS}.{argument}", name) for argument, name in names.items()]
    if data.labels is not None:
        wanted.append((_LABELS, data.labels))
    arrays: dict[str, ArrayHeader] = {}
    for place, name in wanted:
        found = headers.get(name)
        if isinstance(found, ArrayHeader):
            arrays[name] = found
        elif found is None:
            problems.append(Problem(place, _no_array(name, headers, path)))
        else:
            problems.append(Problem(place, f"array {name!r} of {path} cannot be used: {found}"))
    oversized = list(_size_problems(where, arrays))
    if oversized:
        # Before any value is read.
        raise InputError([*problems, *oversized])
    conversions: dict[str, str] = {}
    for info in signature.inputs:
        name = names[info.name]
        if name in arrays:
            place = f"{_INPUTS}.{info.name}"
            problems += _shape_problems(place, info, name, arrays[name])
            problems += _type_problems(place, info, name, arrays[name], path, conversions)
    problems += _length_problems(where, arrays)
    if problems:
        raise InputError(problems)
    samples = next(iter(arrays.values())).shape[0]
    batch_size = signature.fixed_batch or data.batch_size
    _check_batch(data, batch_size, samples, fixed=signature.fixed_batch is not None)
    notices = _notices(data, batch_size, arrays, conversions)
    return Fitted(arrays, names, conversions, samples, batch_size, notices)


def _unknown_arguments(data: DataConfig, signature: LoadedModel) -> Iterator[Problem]:
    arguments = [info.name for info in signature.inputs]
    if not arguments:
        yield Problem("$.model.signature", "the signature has no inputs: there is nothing to feed")
    for argument in data.inputs:
        if argument not in arguments:
            hint = did_you_mean(argument, arguments)
            message = f"the model has no input {argument!r}{hint}; allowed: {', '.join(arguments)}"
            yield Problem(f"{_INPUTS}.{argument}", message)


def _no_array(name: str, headers: Mapping[str, object], path: Path) -> str:
    hint = did_you_mean(name, headers)
    return f"{path} has no array {name!r}{hint}; allowed: {', '.join(headers)}"


def _shape_problems(
    place: str, info: TensorInfo, name: str, header: ArrayHeader
) -> Iterator[Problem]:
    if not header.shape:
        yield Problem(place, f"array {name!r} is a single value; allowed: one row for each sample")
    elif info.shape == ():
        yield Problem(
            place, f"input {info.name!r} takes a single value and no batch; this cannot be fed"
        )
    elif info.shape is not None and not _fits(header.shape[1:], info.shape[1:]):
        sizes = ["samples", *("any" if size == -1 else str(size) for size in info.shape[1:])]
        allowed = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
        yield Problem(place, f"array {name!r} has shape {header.shape}; allowed: {allowed}")


def _fits(found: tuple[int, ...], allowed: tuple[int, ...]) -> bool:
    return len(found) == len(allowed) and all(
        size in (-1, have) for have, size in zip(found, allowed, strict=True)
    )


def _type_problems(
    place: str,
    info: TensorInfo,
    name: str,
    header: ArrayHeader,
    path: Path,
    conversions: dict[str, str],
) -> Iterator[Problem]:
    """Problems with the type; a conversion that loses nothing is added to ``conversions``."""
    found = header.dtype
    if info.dtype == "string":
        if found.kind not in "US":
            message = f"array {name!r} holds {found}; allowed: text, numpy.array(values, dtype=str)"
            yield Problem(place, message)
        return
    if info.dtype == found.name and found.isnative:
        return
    if not _convertible(found, info.dtype):
        yield Problem(place, f"array {name!r} holds {_named(found)}; allowed: {info.dtype}")
        return
    wanted = np.dtype(info.dtype)
    lossy = next((chunk for chunk in iterate(path, name, header) if _loses(chunk, wanted)), None)
    if lossy is not None:
        message = (
            f"array {name!r} holds {found}, and values that {wanted} cannot hold exactly; "
            f"allowed: {wanted} (convert it with .astype({str(wanted)!r}))"
        )
        yield Problem(place, message)
        return
    if conversions.get(name, info.dtype) != info.dtype:
        message = f"array {name!r} feeds inputs of types {conversions[name]} and {info.dtype}"
        yield Problem(place, message)
        return
    conversions[name] = info.dtype


def _convertible(found: np.dtype[Any], wanted: str) -> bool:
    """Whether the kinds allow it at all: whole numbers to any number, fractions to fractions."""
    try:
        kind = np.dtype(wanted).kind
    except TypeError:
        # bfloat16 and quantised types are none of NumPy's own.
        return False
    return kind in {"b": "b", "i": "iuf", "u": "iuf", "f": "f"}.get(found.kind, "")


def _loses(chunk: NDArray[Any], wanted: np.dtype[Any]) -> bool:
    with np.errstate(all="ignore"):
        converted = chunk.astype(wanted)
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        return bool(int(chunk.min()) < limits.min or int(chunk.max()) > limits.max)
    # longdouble tells 2**53 + 1 from what float64 makes of it.
    wide = np.longdouble
    return not np.array_equal(
        converted.astype(wide), chunk.astype(wide), equal_nan=chunk.dtype.kind == "f"
    )


def _named(dtype: np.dtype[Any]) -> str:
    return "text" if dtype.kind in "US" else str(dtype)


def _length_problems(where: str, arrays: Mapping[str, ArrayHeader]) -> Iterator[Problem]:
    lengths = {name: header.shape[0] for name, header in arrays.items() if header.shape}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        yield Problem(where, f"arrays have different numbers of samples: {found}; allowed: one")
    elif 0 in lengths.values():
        yield Problem(where, "there are no samples; allowed: one or more")


def _size_problems(where: str, arrays: Mapping[str, ArrayHeader]) -> Iterator[Problem]:
    """A few compressed bytes may stand for any amount."""
    needed_bytes = sum(math.prod(one.shape) * one.dtype.itemsize for one in arrays.values())
    machine_bytes = psutil.virtual_memory().total
    if needed_bytes > machine_bytes:
        message = (
            f"the arrays take {needed_bytes / 2**30:.1f} GiB in memory; "
            f"allowed: what this machine has, {machine_bytes / 2**30:.1f} GiB"
        )
        yield Problem(where, message)


def _check_batch(data: DataConfig, batch_size: int, samples: int, *, fixed: bool) -> None:
    searched = samples - int(samples * data.holdout)
    if not fixed and batch_size > searched:
        message = (
            f"found {batch_size}, but the search has {searched} of the {samples} samples "
            f"(holdout {data.holdout:g}); allowed: at most {searched}"
        )
        raise InputError.one("$.data.batch_size", message)


def _notices(
    data: DataConfig,
    batch_size: int,
    arrays: Mapping[str, ArrayHeader],
    conversions: Mapping[str, str],
) -> tuple[str, ...]:
    notices = [
        f"Array {name!r} was converted from {arrays[name].dtype} to {dtype}; no value changed."
        for name, dtype in conversions.items()
    ]
    if batch_size != data.batch_size:
        notices.append(
            f"The model takes batches of {batch_size} only; batch_size {data.batch_size} "
            "is ignored."
        )
    return tuple(notices)
