"""Which devices round products of FP32 to TF32 unless they are told not to.

Standard library only: a device machine asks this of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The first compute capability whose devices have TF32 (Ampere).
TF32_SINCE = (8, 0)


def has_tf32(software: Mapping[str, Any]) -> bool:
    """Whether a device is an NVIDIA one, which alone has a compute capability, with TF32.

    Args:
        software: what its runner said of itself.
    """
    found = str(software.get("compute_capability") or "").split(".")
    if software.get("platform") not in ("gpu", "cuda") or not found[0].isdigit():
        return False
    return tuple(int(part) for part in found if part.isdigit()) >= TF32_SINCE
