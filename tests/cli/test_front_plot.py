"""The picture of the front: every setting where it belongs, nothing outside, ends labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amp_tuner.cli.front_plot import ASCII, FEWEST_COLUMNS, UNICODE, Marks, Spot, front_plot

FLOAT32 = Spot(1.0, 0.99, is_float32=True)
spots = st.builds(
    Spot,
    st.floats(1e-3, 1e3),
    st.floats(-1e6, 1e6),
    on_front=st.booleans(),
    is_float32=st.booleans(),
)


def rank(mark: str, marks: Marks) -> int:
    """Which mark hides which."""
    return [" ", marks.other, marks.front, marks.float32].index(mark)


def labels(rows: list[str], marks: Marks) -> dict[int, str]:
    """What stands left of the grid, by row."""
    found = {number: row.split(marks.upright)[0].strip() for number, row in enumerate(rows)}
    return {number: label for number, label in found.items() if label}


@given(
    st.lists(spots, max_size=30),
    st.integers(0, 90),
    st.integers(0, 12),
    st.sampled_from([UNICODE, ASCII]),
    st.booleans(),
)
@example([FLOAT32], 40, 8, UNICODE, True)
@example([FLOAT32, Spot(1.0, 0.5)], 40, 8, ASCII, False)
def test_every_setting_is_in_its_place_and_no_line_is_wider_than_asked(
    found: list[Spot], width: int, height: int, marks: Marks, higher_is_better: bool
) -> None:
    lines = front_plot(
        found, width=width, height=height, marks=marks, higher_is_better=higher_is_better
    )
    assert all(len(line) <= width for line in lines)
    if not lines:
        return
    assert len(lines) == height + 2
    rows = lines[:height]
    gutter = lines[height].index(marks.corner)
    columns = len(lines[height]) - gutter - 1
    assert columns >= FEWEST_COLUMNS
    grid = [row[gutter + 1 :].ljust(columns) for row in rows]
    scores = [spot.score for spot in found]
    speedups = [1.0, *(spot.speedup for spot in found)]
    for spot in found:
        x = cell(spot.speedup, (min(speedups), max(speedups)), columns)
        y = cell(spot.score, (min(scores), max(scores)), height)
        if higher_is_better and min(scores) < max(scores):
            y = height - 1 - y
        # Rounding may put it into the neighbouring cell.
        near = [
            rank(grid[row][column], marks)
            for row in range(height)
            for column in range(columns)
            if abs(row - y) <= 0.51 and abs(column - x) <= 0.51
        ]
        assert max(near) >= rank(spot.mark(marks), marks)
    drawn = sum(char != " " for row in grid for char in row)
    assert 1 <= drawn <= len(found)


def cell(value: float, ends: tuple[float, float], cells: int) -> float:
    """Where a value falls among cells; the middle one where there is a single value."""
    if ends[0] == ends[1]:
        return (cells - 1) // 2
    return float(np.interp(value, ends, (0, cells - 1)))


@given(st.lists(spots, min_size=1, max_size=30), st.sampled_from([UNICODE, ASCII]))
def test_the_rows_labels_are_the_best_and_the_worst_score(found: list[Spot], marks: Marks) -> None:
    lines = front_plot(found, width=80, height=8, marks=marks)
    told = labels(lines[:8], marks)
    low, high = min(spot.score for spot in found), max(spot.score for spot in found)
    if low == high:
        assert list(told) == [3]
        assert float(told[3]) == pytest.approx(low, rel=5e-3, abs=1e-300)
    else:
        assert list(told) == [0, 7]
        assert float(told[0]) == pytest.approx(high, rel=5e-3, abs=1e-300)
        assert float(told[7]) == pytest.approx(low, rel=5e-3, abs=1e-300)


def test_a_small_front_looks_like_this() -> None:
    drawn = front_plot(
        [
            FLOAT32,
            Spot(1.31, 0.989, on_front=True),
            Spot(1.62, 0.95, on_front=True),
            Spot(0.8, 0.98),
        ],
        width=40,
        height=5,
        marks=ASCII,
    )
    assert drawn == [
        "0.99|        F            *",
        "    |.",
        "    |",
        "    |",
        "0.95|                                  *",
        "    +--------+--------------------------",
        "     0.8x    1x                    1.62x",
    ]


def test_where_lower_is_better_the_lower_score_is_above() -> None:
    better = replace(FLOAT32, score=0.1)
    drawn = front_plot([better, Spot(1.2, 0.3)], width=40, height=4, higher_is_better=False)
    assert (drawn[0][:3], drawn[3][:3]) == ("0.1", "0.3")
    assert UNICODE.float32 in drawn[0]
    assert UNICODE.other in drawn[3]


def test_labels_have_the_digits_that_tell_the_ends_apart() -> None:
    drawn = front_plot([Spot(1.0, 0.99996), Spot(1.00004, 0.99998)], width=60, height=4)
    assert drawn[0].startswith("0.99998")
    assert drawn[3].startswith("0.99996")
    assert drawn[5].split() == ["1x", "1.00004x"]


@pytest.mark.parametrize(
    ("found", "width", "height"), [([], 40, 8), ([FLOAT32], 10, 8), ([FLOAT32], 40, 1)]
)
def test_without_settings_or_room_there_is_no_picture(
    found: list[Spot], width: int, height: int
) -> None:
    assert front_plot(found, width=width, height=height) == []
