"""Places for the nodes of a directed graph: in layers from top to bottom, few crossings.

The usual four steps (Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical
system structures", 1981): cycles are broken, nodes go to layers, layers are ordered by barycentres,
and within its order each layer comes as near to its neighbours as the widths allow. The last step
is a least-squares fit under order constraints, which pooling of adjacent violators solves exactly.
What is much taller than wide is folded into columns at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from amp_tuner.report.columns import Columns, Point, fold

Edge = tuple[int, int]
Box = tuple[float, float]

#: Between two boxes of one layer; in pixels at zoom 1.
GAP = 14.0
#: Of a wide screen beside a column of text.
ASPECT = 1.5
#: Edges over more layers than this are drawn as one curve: bending them around boxes would take
#: more bends than the whole graph has nodes.
LONGEST_ROUTED = 80
_ORDER_SWEEPS = 10
_PLACE_SWEEPS = 24
#: How much straighter a bend on a long edge wants to be than a node.
_BEND_WEIGHT = 4.0
_BEND = (2.0, 2.0)


@dataclass(frozen=True)
class Layout:
    """Where everything is, in pixels; y grows downwards.

    Attributes:
        places: of each node.
        routes: of each edge, the points between its ends, from source to target.
        width, height: of the whole; everything is in [0, width] x [0, height].
    """

    places: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered_layout(boxes: Sequence[Box], edges: Sequence[Edge]) -> Layout:
    """Places nodes so that edges run downwards, back edges of loops apart.

    Time is near linear in nodes, edges and the layers that edges pass.

    Args:
        boxes: how far each node reaches to the left and to the right of its place.
        edges: (source, target); several between the same two, and loops, are allowed.
    """
    forward = _without_cycles(len(boxes), edges)
    rows = _Rows(_layers(len(boxes), forward), list(boxes))
    chains = [rows.add_edge(source, target) for source, target in forward]
    rows.order()
    x = rows.places()
    columns = _columns(rows, x, forward)
    routes = []
    for (source, target), chain, given in zip(forward, chains, edges):
        way = columns.route([(x[item], rows.layers[item]) for item in (source, *chain, target)])
        routes.append(way if (source, target) == given else way[::-1])
    return Layout(
        places=tuple(columns.place(x[node], rows.layers[node]) for node in range(len(boxes))),
        routes=tuple(routes),
        width=columns.width,
        height=columns.height,
    )


def _columns(rows: _Rows, x: Sequence[float], edges: Sequence[Edge]) -> Columns:
    extents = [
        (x[row[0]] - rows.boxes[row[0]][0], x[row[-1]] + rows.boxes[row[-1]][1])
        for row in rows.rows
    ]
    crossing = [0] * (len(extents) + 1)
    for source, target in edges:
        crossing[rows.layers[source] + 1] += 1
        crossing[rows.layers[target] + 1] -= 1
    return fold(extents, list(accumulate(crossing)), ASPECT)


def _without_cycles(count: int, edges: Sequence[Edge]) -> list[Edge]:
    """The edges, those turned round that close a cycle."""
    targets: list[list[int]] = [[] for _ in range(count)]
    incoming = [0] * count
    for source, target in edges:
        targets[source].append(target)
        incoming[target] += 1
    unseen, open_, done = 0, 1, 2
    state = [unseen] * count
    back: set[Edge] = set()
    # Sources first, so that loops are entered where the data enter them.
    for start in sorted(range(count), key=lambda node: incoming[node] > 0):
        if state[start] != unseen:
            continue
        state[start] = open_
        stack = [(start, iter(targets[start]))]
        while stack:
            node, following = stack[-1]
            for target in following:
                if state[target] == open_:
                    back.add((node, target))
                elif state[target] == unseen:
                    state[target] = open_
                    stack.append((target, iter(targets[target])))
                    break
            else:
                state[node] = done
                stack.pop()
    return [
        (target, source) if (source, target) in back else (source, target)
        for source, target in edges
    ]


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """A layer for each node: as high as its inputs allow; sources just above who reads them."""
    targets: dict[int, list[int]] = defaultdict(list)
    missing = [0] * count
    for source, target in edges:
        if source != target:
            targets[source].append(target)
            missing[target] += 1
    is_source = [not number for number in missing]
    layers = [0] * count
    waiting = [node for node in range(count) if not missing[node]]
    for node in waiting:
        for target in targets[node]:
            layers[target] = max(layers[target], layers[node] + 1)
            missing[target] -= 1
            if not missing[target]:
                waiting.append(target)
    for node in range(count):
        if is_source[node] and targets[node]:
            layers[node] = min(layers[target] for target in targets[node]) - 1
    return layers


@dataclass
class _Rows:
    """Nodes, and after them the bends of edges, in ordered rows.

    Attributes:
        layers, boxes: of nodes and bends.
        above, below: their neighbours in the next row.
        rows: the order within each layer.
        position: of each item within its row.
    """

    layers: list[int]
    boxes: list[Box]
    above: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    below: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    rows: list[list[int]] = field(default_factory=list)
    position: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = len(self.boxes)

    def add_edge(self, source: int, target: int) -> list[int]:
        """A chain of bends from layer to layer; returns it."""
        first, last = self.layers[source], self.layers[target]
        if source == target or last - first > LONGEST_ROUTED:
            return []
        chain = list(range(len(self.layers), len(self.layers) + last - first - 1))
        self.layers += range(first + 1, last)
        self.boxes += [_BEND] * len(chain)
        ends = [source, *chain, target]
        for upper, lower in zip(ends, ends[1:]):
            self.below[upper].append(lower)
            self.above[lower].append(upper)
        return chain

    def order(self) -> None:
        """Fills ``rows``: depth first to start with, then by barycentres, the best kept."""
        self.rows = [[] for _ in range(max(self.layers, default=-1) + 1)]
        for item in self._depth_first():
            self.rows[self.layers[item]].append(item)
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(_ORDER_SWEEPS):
            down = sweep % 2 == 0
            neighbours = self.above if down else self.below
            for row in self.rows if down else reversed(self.rows):
                self._sort_by_barycentre(row, neighbours)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _depth_first(self) -> list[int]:
        """Everything, each after what leads to it, neighbours close together."""
        seen = [False] * len(self.layers)
        found: list[int] = []
        for start in sorted(range(len(self.layers)), key=lambda item: bool(self.above[item])):
            stack = [start]
            while stack:
                item = stack.pop()
                if seen[item]:
                    continue
                seen[item] = True
                found.append(item)
                stack += reversed(self.below[item])
        return found

    def _sort_by_barycentre(self, row: list[int], neighbours: dict[int, list[int]]) -> None:
        """By the mean position of neighbours; what has none stays where it is."""
        keys = {}
        for position, item in enumerate(row):
            near = [self.position[other] for other in neighbours[item]]
            keys[item] = sum(near) / len(near) if near else float(position)
        row.sort(key=keys.__getitem__)
        for position, item in enumerate(row):
            self.position[item] = position

    def _crossings(self) -> int:
        """Pairs of edges between neighbouring rows that cross; also refreshes positions."""
        self.position = {item: place for row in self.rows for place, item in enumerate(row)}
        total = 0
        for row in self.rows:
            below = ([self.position[other] for other in self.below[item]] for item in row)
            ends = [end for targets in below for end in sorted(targets)]
            total += _inversions(ends)
        return total

    def places(self) -> list[float]:
        """An x for everything: close to neighbours, in order, not overlapping."""
        x = [0.0] * len(self.layers)
        for row in self.rows:
            self._fit(row, x, [(0.0, 1.0)] * len(row))
        for sweep in range(_PLACE_SWEEPS):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                self._fit(row, x, [self._wish(item, x, sweep) for item in row])
        return x

    def _wish(self, item: int, x: list[float], sweep: int) -> tuple[float, float]:
        """Where an item wants to be, and how much.

        Sweeps look one way first, to carry positions far, then both ways, to settle.
        """
        if sweep < _PLACE_SWEEPS // 2:
            near = (self.above if sweep % 2 == 0 else self.below)[item]
        else:
            near = [*self.above[item], *self.below[item]]
        if not near:
            return x[item], 0.1
        weights = [_BEND_WEIGHT if self._is_bend(other) else 1.0 for other in near]
        wish = sum(weight * x[other] for weight, other in zip(weights, near)) / sum(weights)
        return wish, _BEND_WEIGHT if self._is_bend(item) else 1.0

    def _is_bend(self, item: int) -> bool:
        return item >= self.nodes

    def _fit(self, row: list[int], x: list[float], wishes: list[tuple[float, float]]) -> None:
        """Sets x of a row as near to the wishes as order and widths allow."""
        offsets, offset = [], 0.0
        for index, item in enumerate(row):
            if index:
                offset += self.boxes[row[index - 1]][1] + self.boxes[item][0] + GAP
            offsets.append(offset)
        # Shifted by its offset, each may be where the one before it is: a monotone fit.
        fitted = _monotone(
            [(wish - shift, weight) for (wish, weight), shift in zip(wishes, offsets)]
        )
        for item, value, shift in zip(row, fitted, offsets):
            x[item] = value + shift


def _monotone(wishes: Sequence[tuple[float, float]]) -> list[float]:
    """The rising sequence that is nearest to weighted values, by least squares."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in wishes:
        total, heavy, size = value * weight, weight, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / heavy:
            before = blocks.pop()
            total, heavy, size = total + before[0], heavy + before[1], size + before[2]
        blocks.append((total, heavy, size))
    return [total / heavy for total, heavy, size in blocks for _ in range(size)]


def _inversions(numbers: Sequence[int]) -> int:
    """Pairs in the wrong order, counted with a binary indexed tree."""
    size = max(numbers, default=-1) + 2
    tree = [0] * (size + 1)
    total = 0
    for seen, number in enumerate(numbers):
        index, not_above = number + 1, 0
        while index:
            not_above += tree[index]
            index &= index - 1
        total += seen - not_above
        index = number + 1
        while index <= size:
            tree[index] += 1
            index += index & -index
    return total
