"""Sizes and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.config.quantities import duration_text, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("8GiB", 8 << 30), ("512MiB", 512 << 20), ("1.5 GB", 1_500_000_000), ("100B", 100)],
)
def test_sizes_have_units(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["8", "8Gb", "GiB", "-1GiB", "1e3GiB", "0GiB", "", "8GiB\n", "٣GiB"]
)
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="such as 8GiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28_800), ("30m", 1800), ("90s", 90), ("1h30m", 5400), ("1d2h", 93_600), ("0.5s", 0.5)],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["8", "1:30", "30m1h", "-1h", "1.5h", "0s", "", "h", "1h 30m"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="such as 8h, 90s or 1h30m"):
        parse_duration(text)


@given(st.floats(1, 1e9))
def test_a_duration_is_written_as_it_is_read(seconds: float) -> None:
    assert parse_duration(duration_text(seconds)) == int(seconds)


def test_a_written_duration_has_no_unit_too_many() -> None:
    assert [duration_text(seconds) for seconds in (0.3, 90, 5400, 86_401)] == [
        *("1s", "1m30s", "1h30m", "1d1s"),
    ]
