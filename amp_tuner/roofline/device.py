"""Device profiles: a device's peak rates, memory, cache and overheads, each figure with its source.

A profile is a YAML file (``configs/devices/``). Every figure is ``{value: …, source: …}``; rates
are by kind of work and data type. The fields of :class:`DeviceProfile` say what figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.config.problems import shown
from amp_tuner.config.yaml12 import read_yaml
from amp_tuner.errors import InputError, Problem
from amp_tuner.roofline.fusion import STYLES
from amp_tuner.roofline.work import GATHERED, UNITS, WINDOW_ROWS, Unit
from amp_tuner.text import did_you_mean

FORMAT = 1
DEVICES = ("cpu", "gpu", "xpu")
DATA_TYPES = ("float32", "bfloat16", "float16")
#: Rates that every profile has; those of other kinds of work default to their unit's.
REQUIRED_RATES = (Unit.MATRIX.value, Unit.VECTOR.value)
RATES = (
    *dict.fromkeys((*REQUIRED_RATES, *(kind.value for kind in UNITS))),
    GATHERED,
    WINDOW_ROWS,
)
_TEXTS = {"name": None, "device": DEVICES, "fusion": tuple(STYLES)}
_SHARES = ("matrix_efficiency", "memory_efficiency")
#: Figure to whether it may be 0.
_FIGURES = {
    "memory_bytes_per_s": False,
    "cache_bytes_per_s": False,
    "cache_bytes": False,
    "launch_s": False,
    "dispatch_s": True,
    "run_s": True,
    "compute_units": False,
    "tile": False,
    "winograd": False,
    "memory_efficiency": False,
}
#: Where it is left out, every data type is fused.
_FUSED = "fused"
_KEYS = ("format", *_TEXTS, _FUSED, "notes", "rates", "matrix_efficiency", *_FIGURES)


@dataclass(frozen=True)
class DeviceProfile:
    """A device as the cost model sees it. Times are seconds, rates are per second.

    Attributes:
        name: as every modelled figure names it.
        device: ``cpu``, ``gpu`` or ``xpu``: which rule sets are meant.
        fusion: one of ``fusion.STYLES``: whose fusions there are.
        fused: the data types that there are fusions in: TensorFlow leaves those out for which the
            CPU has no instructions.
        rates: kind of work (``matrix``, ``vector``, or one of ``work.Kind``) to data type to peak
            operations per second; a multiplication and an addition count as two. ``gathered``
            and ``window_rows`` of convolutions: see ``work.Work``; where they are left out, they
            take no time of their own.
        matrix_efficiency: data type to the share of the peak that a large product reaches.
        memory_bytes_per_s, cache_bytes_per_s: peak bandwidth of the memory, and of the cache.
        memory_efficiency: the share of both that streaming kernels reach.
        cache_bytes: of the cache that tensors are taken to stay in: all L2 of GPUs and of server
            CPUs, whose L3 is not much larger.
        launch_s: device time that a kernel takes beside its work.
        dispatch_s: host time for a kernel; it overlaps with the device's work. 0 where the host is
            the device.
        run_s: time of a run beside its kernels.
        compute_units: SMs, Xe cores or cores, among which tiles of a product are dealt.
        tile: rows and columns of a tile.
        winograd: by this factor a 3 x 3 convolution of stride 1 takes fewer multiplications in
            float32; 1 where the runtime's convolutions do not use Winograd's algorithm.
        notes: free text.
    """

    name: str
    device: str
    fusion: str
    fused: tuple[str, ...]
    rates: Mapping[str, Mapping[str, float]]
    matrix_efficiency: Mapping[str, float]
    memory_bytes_per_s: float
    cache_bytes_per_s: float
    memory_efficiency: float
    cache_bytes: float
    launch_s: float
    dispatch_s: float
    run_s: float
    compute_units: float
    tile: float
    winograd: float
    notes: str = ""

    @property
    def data_types(self) -> tuple[str, ...]:
        """The data types that it has rates for."""
        return tuple(self.rates[Unit.MATRIX.value])


def load_profile(path: Path) -> DeviceProfile:
    """The profile in a YAML file.

    Raises:
        InputError: every problem that was found, each with its place in the file.
    """
    return parse_profile(read_yaml(path), str(path))


def parse_profile(raw: Any, where: str) -> DeviceProfile:
    """The same from the file's content as plain data.

    Raises:
        InputError: every problem that was found; ``where`` names the file.
    """
    if not isinstance(raw, dict):
        raise InputError.one(where, f"found {shown(raw)}; allowed: a device profile, a mapping")
    problems = list(_problems(raw))
    if not problems:
        problems = list(_contradictions(raw))
    if problems:
        raise InputError(Problem(f"{where}: {place}", message) for place, message in problems)
    texts = {name: raw.get(name, "") for name in (*_TEXTS, "notes")}
    figures: dict[str, Any] = {name: float(raw[name]["value"]) for name in _FIGURES}
    known = raw["rates"][Unit.MATRIX.value]
    return DeviceProfile(
        fused=tuple(raw[_FUSED]["value"] if _FUSED in raw else known),
        rates={kind: _values(rates) for kind, rates in raw["rates"].items()},
        matrix_efficiency=_values(raw["matrix_efficiency"]),
        **{**texts, **figures},
    )


def _values(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {name: float(figure["value"]) for name, figure in figures.items()}


def _problems(raw: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with keys and single values, each with its place."""
    if raw.get("format") != FORMAT:
        yield "format", f"found {shown(raw.get('format'))}; this amp-tune reads format {FORMAT}"
    for key in raw:
        if key not in _KEYS:
            yield str(key), f"unknown key{did_you_mean(str(key), _KEYS)}; allowed: {_listed(_KEYS)}"
    yield from _texts(raw)
    for name, zero in _FIGURES.items():
        yield from _figure(name, raw.get(name), zero=zero)
    yield from _by_data_type("matrix_efficiency", raw.get("matrix_efficiency"))
    if _FUSED in raw:
        yield from _fused(raw[_FUSED])
    yield from _rates(raw.get("rates"))


def _texts(raw: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for name, choices in _TEXTS.items():
        found = raw.get(name)
        if not _is_word(found) or (choices and found not in choices):
            yield name, f"found {shown(found)}; allowed: {_listed(choices or ('a line of text',))}"
    if not isinstance(raw.get("notes", ""), str):
        yield "notes", f"found {shown(raw['notes'])}; allowed: a text"


def _is_word(found: Any) -> bool:
    return isinstance(found, str) and bool(found.strip()) and found.isprintable()


def _rates(rates: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(rates, dict):
        yield "rates", f"found {shown(rates)}; allowed: a mapping of kinds of work"
        return
    for kind in (*REQUIRED_RATES, *(kind for kind in rates if kind not in REQUIRED_RATES)):
        if kind not in RATES:
            hint = did_you_mean(str(kind), RATES)
            yield f"rates.{kind}", f"unknown kind of work{hint}; allowed: {_listed(RATES)}"
        else:
            yield from _by_data_type(f"rates.{kind}", rates.get(kind))


def _by_data_type(place: str, found: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(found, dict) or "float32" not in found:
        yield place, f"found {shown(found)}; allowed: a mapping of data types, float32 among them"
        return
    for data_type, figure in found.items():
        if data_type not in DATA_TYPES:
            message = f"found the key {shown(data_type)}; allowed: {_listed(DATA_TYPES)}"
            yield place, message
        else:
            yield from _figure(f"{place}.{data_type}", figure, zero=False)


def _fused(found: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with the data types that are fused, and their source."""
    if not isinstance(found, dict) or found.keys() != {"value", "source"}:
        message = "allowed: {value: a list of data types, source: where it is from}"
        yield _FUSED, f"found {shown(found)}; {message}"
        return
    value = found["value"]
    if not isinstance(value, list) or any(name not in DATA_TYPES for name in value):
        yield f"{_FUSED}.value", f"found {shown(value)}; allowed: a list of {_listed(DATA_TYPES)}"
    yield from _source(_FUSED, found["source"])


def _figure(place: str, found: Any, *, zero: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with one figure and its source."""
    if not isinstance(found, dict) or found.keys() != {"value", "source"}:
        yield place, f"found {shown(found)}; allowed: {{value: a number, source: where it is from}}"
        return
    value = found["value"]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    least = "0 or more" if zero else "above 0"
    if not number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        yield f"{place}.value", f"found {shown(value)}; allowed: a number {least}"
    elif place.split(".", maxsplit=1)[0] in _SHARES and value > 1:
        yield f"{place}.value", f"found {shown(value)}; allowed: a share, at most 1"
    yield from _source(place, found["source"])


def _source(place: str, source: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(source, str) or not source.strip():
        message = f"found {shown(source)}; allowed: a text that says where it is from"
        yield f"{place}.source", message


def _contradictions(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What figures that are right in themselves may not be together."""
    if raw["cache_bytes_per_s"]["value"] < raw["memory_bytes_per_s"]["value"]:
        yield "cache_bytes_per_s", "is below memory_bytes_per_s; a cache is at least as fast"
    if raw["winograd"]["value"] < 1:
        yield "winograd", "is below 1; 1 says that the algorithm is not used"
    known = raw["rates"][Unit.MATRIX.value].keys()
    fused = raw[_FUSED]["value"] if _FUSED in raw else []
    if not known >= set(fused):
        yield (
            f"{_FUSED}.value",
            f"has {_listed(fused)}; allowed: those of rates.matrix, {_listed(known)}",
        )
    places = {f"rates.{kind}": rates for kind, rates in raw["rates"].items()}
    for place, figures in {**places, "matrix_efficiency": raw["matrix_efficiency"]}.items():
        if figures.keys() != known:
            yield place, f"has {_listed(figures)}; allowed: those of rates.matrix, {_listed(known)}"


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
