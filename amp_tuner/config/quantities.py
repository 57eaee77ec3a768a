"""Sizes (``8GiB``) and durations (``1h30m``) as study files and options write them."""

from __future__ import annotations

import re

_UNIT_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SIZE_HINT = f"a number and a unit ({', '.join(_UNIT_BYTES)}), such as 8GiB"
DURATION_HINT = "numbers with units d, h, m, s, largest first, such as 8h, 90s or 1h30m"

SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)", re.ASCII)
DURATION = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)s)?",
    re.ASCII,
)


def parse_size(text: str) -> int:
    """The size in bytes.

    Raises:
        ValueError: not a size, or zero; the message says what is allowed.
    """
    match = SIZE.fullmatch(text)
    if match is None or match[2] not in _UNIT_BYTES:
        raise ValueError(SIZE_HINT)
    size_bytes = int(float(match[1]) * _UNIT_BYTES[match[2]])
    if size_bytes < 1:
        raise ValueError(f"more than zero: {SIZE_HINT}")
    return size_bytes


def parse_duration(text: str) -> float:
    """The duration in seconds.

    Raises:
        ValueError: not a duration, or zero; the message says what is allowed.
    """
    match = DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(DURATION_HINT)
    seconds = sum(
        float(amount) * unit
        for amount, unit in zip(match.groups(), _UNIT_SECONDS.values())
        if amount is not None
    )
    if seconds <= 0:
        raise ValueError(f"more than zero: {DURATION_HINT}")
    return seconds


def duration_text(seconds: float) -> str:
    """Whole seconds, at least one, as :func:`parse_duration` reads them: ``1h30m``."""
    rest, parts = max(1, int(seconds)), []
    for unit, unit_s in _UNIT_SECONDS.items():
        amount, rest = divmod(rest, unit_s)
        parts += [f"{amount}{unit}"] if amount else []
    return "".join(parts)
