"""Where a graph is drawn: what runs in layers, constants beside who reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from amp_tuner.report.columns import Point
from amp_tuner.report.layered_layout import Edge, layered_layout

#: Side of a constant's box, and how many stand above each other; pixels at zoom 1.
DOT = 8.0
DOT_STEP = 12.0
DOT_ROWS = 3


@dataclass(frozen=True)
class Drawing:
    """Places in pixels; y grows downwards.

    Attributes:
        centres: of each node's box.
        routes: of each edge, the points between its ends.
        width, height: of the whole.
    """

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def draw(widths: Sequence[float], edges: Sequence[Edge], constants: Collection[int]) -> Drawing:
    """Places nodes; constants stand at the left of a node that they lead to.

    A graph has three times as many constants as nodes that run; layers for them would hide what
    the model does.

    Args:
        widths: of each node's box; not read for constants that stand beside a node.
        edges: (source, target).
        constants: nodes that lead to others and need no place of their own.
    """
    beside = _beside(edges, constants)
    held = {constant for group in beside.values() for constant in group}
    running = [node for node in range(len(widths)) if node not in held]
    position = {node: index for index, node in enumerate(running)}
    room = {node: _columns(len(beside[node])) * DOT_STEP for node in running}
    drawn = [index for index, (source, _) in enumerate(edges) if source not in held]
    layout = layered_layout(
        [(widths[node] / 2 + room[node], widths[node] / 2) for node in running],
        [(position[edges[index][0]], position[edges[index][1]]) for index in drawn],
    )
    centres: list[Point] = [(0.0, 0.0)] * len(widths)
    for node, (x, y) in zip(running, layout.places):
        centres[node] = (x, y)
        _place_beside(centres, beside[node], x - widths[node] / 2, y)
    routes: list[tuple[Point, ...]] = [()] * len(edges)
    for index, route in zip(drawn, layout.routes):
        routes[index] = route
    return Drawing(tuple(centres), tuple(routes), layout.width, layout.height)


def _beside(edges: Iterable[Edge], constants: Collection[int]) -> dict[int, list[int]]:
    """Node that runs to the constants beside it, the nearest first; each stands at one node."""
    sources: dict[int, list[int]] = defaultdict(list)
    for source, target in edges:
        sources[target].append(source)
    found: dict[int, list[int]] = defaultdict(list)
    taken: set[int] = set()
    for reader in sorted(sources):
        if reader in constants:
            continue
        waiting = [reader]
        for node in waiting:
            new = [one for one in sources[node] if one in constants and one not in taken]
            taken.update(new)
            waiting += dict.fromkeys(new)
        found[reader] = waiting[1:]
    return found


def _columns(count: int) -> int:
    return -(-count // DOT_ROWS)


def _place_beside(centres: list[Point], group: Sequence[int], right: float, y: float) -> None:
    rows = min(len(group), DOT_ROWS)
    for index, node in enumerate(group):
        column, row = divmod(index, DOT_ROWS)
        x = right - (column + 0.5) * DOT_STEP
        centres[node] = (x, y + (row - (rows - 1) / 2) * DOT_STEP)
