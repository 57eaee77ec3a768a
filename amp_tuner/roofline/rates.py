"""Seconds of arithmetic and of memory traffic on a device, before kernels are put together.

A product of matrices is dealt out in tiles. A wave of tiles takes the same time whether it fills
all units or one of them, and a tile that hangs over the edge as long as a whole one (NVIDIA, Matrix
Multiplication Background User's Guide: wave and tile quantization).

A convolution on a CPU copies its windows together before it multiplies (TensorFlow's
``kernels/eigen_spatial_convolutions-inl.h``: a vector of elements at a time where they lie in one
piece, one by one at a window's edge). With few channels that takes longer than the arithmetic, in
16 bits that are an emulation most of all. A profile may have rates for it (``gathered``,
``window_rows``); their times are added to the arithmetic's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from amp_tuner.roofline.work import GATHERED, UNITS, WINDOW_ROWS, Kind, Product, Work

if TYPE_CHECKING:
    from amp_tuner.roofline.device import DeviceProfile

_FLOAT32 = "float32"
#: A tensor that takes more than this share of the cache is taken to be evicted before it is read.
_CACHE_SHARE = 0.5


def arithmetic_s(profile: DeviceProfile, work: Work, data_type: str) -> float:
    """Seconds that one run of a node computes, in ``data_type``."""
    if work.kind is Kind.FREE:
        return 0.0
    rates = profile.rates.get(work.kind.value) or profile.rates[UNITS[work.kind].value]
    seconds = work.operations / rates[data_type]
    if work.product is None:
        return seconds
    if work.winograd and data_type == _FLOAT32:
        seconds /= profile.winograd
    seconds /= profile.matrix_efficiency[data_type] * fill(profile, work.product)
    for name, number in ((GATHERED, work.gathered), (WINDOW_ROWS, work.window_rows)):
        if name in profile.rates:
            seconds += number / profile.rates[name][data_type]
    return seconds


def fill(profile: DeviceProfile, product: Product) -> float:
    """The share of the tiles' places, in all waves, that are elements of the result; at most 1."""
    tile, units = profile.tile, profile.compute_units
    tiles = product.batch * math.ceil(product.rows / tile) * math.ceil(product.columns / tile)
    places = math.ceil(tiles / units) * units * tile * tile
    return product.batch * product.rows * product.columns / places if places else 1.0


def fits_cache(profile: DeviceProfile, size_bytes: float) -> bool:
    """Whether a tensor is still in the cache when it is read."""
    return size_bytes <= _CACHE_SHARE * profile.cache_bytes


def traffic_s(profile: DeviceProfile, moved_bytes: float, *, cached: bool) -> float:
    """Seconds to move bytes between a kernel and the cache or the memory."""
    peak = profile.cache_bytes_per_s if cached else profile.memory_bytes_per_s
    return moved_bytes / (peak * profile.memory_efficiency)
