"""A front as a picture of characters: speed-up to the right, accuracy upwards. Points to lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Fewer columns or rows than this show nothing.
FEWEST_COLUMNS, FEWEST_ROWS = 12, 2
#: Labels are as exact as they must be to differ, within this many digits.
_FEWEST_DIGITS, _MOST_DIGITS = 3, 12
_FLOAT32_SPEEDUP = 1.0


@dataclass(frozen=True)
class Marks:
    """The characters of a picture, each one column wide.

    Attributes:
        front: a member of the front.
        other: what is not on it.
        float32: FP32.
        upright, corner, level, tick: of the axes; the tick is where FP32's speed-up is.
        done, left: of a bar.
        dots: stands for what was cut off.
    """

    front: str
    other: str
    float32: str
    upright: str
    corner: str
    level: str
    tick: str
    done: str
    left: str
    dots: str


UNICODE = Marks("●", "·", "◆", "│", "└", "─", "┴", "━", "─", "…")
ASCII = Marks("*", ".", "F", "|", "+", "-", "+", "#", "-", "~")


@dataclass(frozen=True)
class Spot:
    """One setting in the picture.

    Attributes:
        speedup: over FP32.
        score: the metric's value.
        on_front: whether it is a member of the front.
        is_float32: whether it is FP32.
    """

    speedup: float
    score: float
    on_front: bool = False
    is_float32: bool = False

    def mark(self, marks: Marks) -> str:
        """What stands for it."""
        if self.is_float32:
            return marks.float32
        return marks.front if self.on_front else marks.other


def front_plot(
    spots: Sequence[Spot],
    *,
    width: int,
    height: int,
    marks: Marks = UNICODE,
    higher_is_better: bool = True,
) -> list[str]:
    """The picture's lines: ``height`` rows, the axis, its labels.

    The axes are labelled with their ends, the x axis with FP32's 1 too where there is room. Where
    several settings share a character, FP32 hides the front, and the front hides the others.

    Args:
        spots: finite values.
        width: columns that no line exceeds.
        height: rows of the grid.
        marks: the characters to draw with.
        higher_is_better: the metric's direction; the better score is always above.

    Returns:
        The lines; none where nothing can be shown: no spots, or too little room.
    """
    if not spots or height < FEWEST_ROWS:
        return []
    scores = [spot.score for spot in spots]
    speedups = [_FLOAT32_SPEEDUP, *(spot.speedup for spot in spots)]
    ends = min(scores), max(scores)
    bottom, top = ends if higher_is_better else ends[::-1]
    left, right = min(speedups), max(speedups)
    labels = _labels(*ends)
    gutter = max(map(len, labels))
    columns = width - gutter - 1
    if columns < FEWEST_COLUMNS:
        return []
    grid = [[" "] * columns for _ in range(height)]
    for spot in sorted(spots, key=lambda spot: (spot.is_float32, spot.on_front)):
        row = _place(spot.score, top, bottom, height)
        grid[row][_place(spot.speedup, left, right, columns)] = spot.mark(marks)
    names = {
        _place(end, top, bottom, height): label for end, label in zip(ends, labels, strict=True)
    }
    rows = [
        f"{names.get(number, ''):>{gutter}}{marks.upright}{''.join(row)}".rstrip()
        for number, row in enumerate(grid)
    ]
    tick = _place(_FLOAT32_SPEEDUP, left, right, columns)
    axis = [marks.level] * columns
    axis[tick] = marks.tick
    margin = " " * gutter
    return [
        *rows,
        f"{margin}{marks.corner}{''.join(axis)}",
        f"{margin} {_under_axis(left, right, tick, columns)}".rstrip(),
    ]


def _place(value: float, first: float, last: float, cells: int) -> int:
    """The cell of a value on the axis from ``first`` to ``last``; of one point, the middle."""
    if first == last:
        return (cells - 1) // 2
    return round((value - first) / (last - first) * (cells - 1))


def _labels(low: float, high: float) -> tuple[str, str]:
    """Both ends, with as few digits as tell them apart."""
    digits = _FEWEST_DIGITS
    while low != high and digits < _MOST_DIGITS and f"{low:.{digits}g}" == f"{high:.{digits}g}":
        digits += 1
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


def _under_axis(left: float, right: float, tick: int, columns: int) -> str:
    """The x axis's labels: its ends and, between them where there is room, FP32's."""
    first, last = (f"{label}x" for label in _labels(left, right))
    if left == right:
        return first.center(columns)
    if len(first) + 1 + len(last) > columns:
        return ""
    line = list(first + " " * (columns - len(first) - len(last)) + last)
    name = "1x"
    if all(char == " " for char in line[tick - 1 : tick + len(name) + 1]) and tick > 0:
        line[tick : tick + len(name)] = name
    return "".join(line)
