"""Folds a tall drawing in layers into columns, as a newspaper does with a story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

Point = tuple[float, float]

#: Between the centres of two layers; in pixels at zoom 1, as all lengths here.
LAYER_HEIGHT = 56.0
#: Between two columns: room for the edges that lead from one to the next.
GUTTER = 70.0
MARGIN = 30.0
#: How far a cut may be from where columns would be equally high, as a part of their height.
_SLACK = 0.25
#: A column has at least so many layers, but for the last.
_LEAST_LAYERS = 16
_MOST_COLUMNS = 80


@dataclass(frozen=True)
class Columns:
    """Where the layers of a folded drawing are.

    Attributes:
        of_layer: column of each layer.
        first_layers: of each column.
        shifts: of each column, to the right.
        gutters: middle of the free space before each column.
        width, height: of the whole.
    """

    of_layer: tuple[int, ...]
    first_layers: tuple[int, ...]
    shifts: tuple[float, ...]
    gutters: tuple[float, ...]
    width: float
    height: float

    def place(self, x: float, layer: int) -> Point:
        """Where a point of the unfolded drawing goes."""
        column = self.of_layer[layer]
        row = layer - self.first_layers[column]
        return x + self.shifts[column], MARGIN + (row + 0.5) * LAYER_HEIGHT

    def route(self, points: Sequence[tuple[float, int]]) -> tuple[Point, ...]:
        """The folded way along points (x, layer) of rising layers, ends left out.

        From one column to a later one it leaves at the foot, rises in the gutter before the later
        column and comes in at its head.
        """
        found: list[Point] = []
        for index, (x, layer) in enumerate(points):
            if index and self.of_layer[layer] != self.of_layer[points[index - 1][1]]:
                from_x = self.place(*points[index - 1])[0]
                gutter = self.gutters[self.of_layer[layer]]
                to_x = self.place(x, layer)[0]
                foot, head = self.height - MARGIN / 2, MARGIN / 2
                found += [(from_x, foot), (gutter, foot), (gutter, head), (to_x, head)]
            found.append(self.place(x, layer))
        return tuple(found[1:-1])


def fold(extents: Sequence[tuple[float, float]], crossing: Sequence[int], aspect: float) -> Columns:
    """Cuts a drawing into columns, where few edges cross.

    Args:
        extents: left and right end of each layer.
        crossing: edges from above each layer into it or past it; that of the first is not read.
        aspect: width by height that the whole should have.
    """
    count = len(extents)
    most = min(max(count // _LEAST_LAYERS, 1), _MOST_COLUMNS)
    tried = (_columns(extents, _starts(count, number, crossing)) for number in range(1, most + 1))
    return min(tried, key=lambda columns: abs(log(columns.width / columns.height / aspect)))


def _columns(extents: Sequence[tuple[float, float]], starts: Sequence[int]) -> Columns:
    of_layer, shifts, gutters, offset = [], [], [], MARGIN
    ends = [*starts[1:], len(extents)]
    for column, (first, end) in enumerate(zip(starts, ends)):
        of_layer += [column] * (end - first)
        left = min((left for left, _ in extents[first:end]), default=0.0)
        right = max((right for _, right in extents[first:end]), default=0.0)
        shifts.append(offset - left)
        gutters.append(offset - GUTTER / 2)
        offset += right - left + GUTTER
    highest = max(end - first for first, end in zip(starts, ends))
    return Columns(
        of_layer=tuple(of_layer),
        first_layers=tuple(starts),
        shifts=tuple(shifts),
        gutters=tuple(gutters),
        width=offset - GUTTER + MARGIN,
        height=highest * LAYER_HEIGHT + 2 * MARGIN,
    )


def _starts(count: int, number: int, crossing: Sequence[int]) -> list[int]:
    """First layers of ``number`` columns; near equal heights, where the fewest edges cross."""
    starts = [0]
    for column in range(1, number):
        ideal = column * count / number
        slack = _SLACK * count / number
        first = max(starts[-1] + 1, round(ideal - slack))
        near = range(first, min(count, round(ideal + slack) + 1))
        if near:
            starts.append(min(near, key=lambda layer: (crossing[layer], abs(layer - ideal))))
    return starts
