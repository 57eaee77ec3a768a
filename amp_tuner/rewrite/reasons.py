"""Which rule gave a type attribute its colour, and which node decided.

Painting remembers only the step that painted a vertex. Here the steps are taken once more with
their colours kept, and the deciding vertex is searched for: the nearest one from which the step's
own flood reaches the vertex.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Optional

import numpy as np

from amp_tuner.amp.levels import FORCE_ALL, effective_lists
from amp_tuner.rewrite import steps
from amp_tuner.rewrite.paint import Painting, Snapshot, paint_step_by_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.amp.lists import AmpLists
    from amp_tuner.graph.typed_graph import TypedNode
    from amp_tuner.rewrite.neighbours import Network
    from amp_tuner.rewrite.prepare import PreparedGraph

#: Numbers of the steps; lists of TensorLists are matched twice.
ESCAPING, ALLOWING, DENYING, MATCHING, BETWEEN, AFTER, CLEARING, UNALLOWING, _, LOOPS, CASTS = (
    range(1, len(steps.ORDER) + 1)
)


class Way(NamedTuple):
    """A vertex that decided, and what lies between it and the vertex that it decided on.

    Attributes:
        vertex: who decided.
        clear, infer, other: nodes passed on the shortest way, by their list.
    """

    vertex: int
    clear: int = 0
    infer: int = 0
    other: int = 0

    @property
    def nodes(self) -> int:
        """How many nodes are passed."""
        return self.clear + self.infer + self.other

    def through(self, place: str) -> Way:
        """One node further: past a node of list ``place``."""
        return self._replace(
            clear=self.clear + (place == "clear"),
            infer=self.infer + (place == "infer"),
            other=self.other + (place not in ("clear", "infer")),
        )


def _lets_out(node: TypedNode, *, is_member: bool) -> bool:
    """Whether a TensorList cannot be converted because of a node that touches it."""
    return not node.processable if is_member else node.boundary


@dataclass(frozen=True)
class Reason:
    """Why a vertex has its colour.

    Attributes:
        rule: a key of ``reason_words.RULES``.
        ways: who decided; as many as the rule has, or none.
    """

    rule: str
    ways: tuple[Way, ...] = ()


class Reasons:
    """The reasons of one painted graph.

    Args:
        prepared: the graph.
        lists: as painted.
        level: as painted.

    Attributes:
        painting: the colours.
        places: the list of each vertex's op type, or of its node's own, under the level.

    Raises:
        RewriteError: the real pass fails on these lists.
    """

    def __init__(self, prepared: PreparedGraph, lists: AmpLists, level: str = "default") -> None:
        self._prepared = prepared
        self._level = level
        self.painting: Painting
        self._snapshots: Sequence[Snapshot]
        self.painting, self._snapshots = paint_step_by_step(prepared, lists, level)
        self._lists = effective_lists(prepared.rules, lists, level)
        of_op = [self._lists.list_of(op_type) for op_type in prepared.op_types]
        self.places = [of_op[op] for op in prepared.op_of]
        #: Nodes that are in another list than their op type.
        self._moved: dict[int, str] = {}
        for subject, place in sorted(self._lists.nodes.items()):
            for vertex in prepared.named[subject].tolist():
                self.places[vertex] = place
                self._moved[prepared.graph.vertices[vertex].node] = place

    def list_of(self, op_type: str) -> str:
        """The list that holds ``op_type`` under the level."""
        return self._lists.list_of(op_type)

    def place_of(self, node: int) -> str:
        """The list of a node: its own, or its op type's."""
        return self._moved.get(node) or self.list_of(self._prepared.graph.nodes[node].op)

    def of(self, vertex: int) -> Reason:
        """Why ``vertex`` is 16-bit or not."""
        if self.painting.painted[vertex]:
            return self._allowed(vertex, self.painting.allow[vertex])
        return (
            self._untouchable(vertex)
            or self._taken_back(vertex)
            or self._denied(vertex)
            or self._unfit(vertex)
            or self._left_alone(vertex)
        )

    def _allowed(self, vertex: int, step: int) -> Reason:
        if step == ALLOWING:
            return Reason("allow" if self.places[vertex] == "allow" else "forced")
        if step == BETWEEN:
            return Reason("between", (self._above[vertex], self._below[vertex]))
        if step == AFTER:
            return Reason("after_16bit", (Way(self._allowed_inputs(vertex)[0]),))
        if step == CLEARING:
            return Reason("through_clear", (self._connected[vertex],))
        if step == LOOPS:
            return Reason("loop_16bit", tuple(map(Way, self._merges[vertex][:1])))
        if step == CASTS:
            return Reason("absorbed", (Way(self._consumers[vertex][0]),))
        return Reason("list_16bit", self._sharing(vertex, self._before(step).allow))

    def _untouchable(self, vertex: int) -> Optional[Reason]:
        if self._prepared.graph.skipped is not None:
            return Reason("skipped")
        node = self._prepared.graph.nodes[self._prepared.graph.vertices[vertex].node]
        if node.processable:
            return Reason("nothing_allowed") if len(self._snapshots) <= DENYING else None
        return Reason("kept" if node.kept else "device")

    def _taken_back(self, vertex: int) -> Optional[Reason]:
        step = self.painting.removed.get(vertex)
        if step is None:
            return None
        if step == UNALLOWING:
            return Reason("quantized") if self._prepared.quantized[vertex] else self._unfit(vertex)
        if step == LOOPS:
            return Reason("loop_float32", (Way(self._loop_blockers[vertex]),))
        if self._before(step).deny[vertex]:
            return self._denied(vertex)
        return Reason("list_float32", self._sharing(vertex, self._before(step).deny))

    def _denied(self, vertex: int) -> Optional[Reason]:
        step = int(self.painting.deny[vertex])
        if not step:
            return None
        if step == ESCAPING:
            way = self._escapes.get(vertex)
            return Reason("list_escapes", () if way is None else (way,))
        if step != DENYING:
            return Reason("list_float32", self._sharing(vertex, self._before(step).deny))
        if self.places[vertex] == "deny":
            return Reason("deny")
        return Reason("downstream_of_deny", (self._denials[vertex],))

    def _unfit(self, vertex: int) -> Optional[Reason]:
        if not self._prepared.type_ok[vertex]:
            return Reason("no_type")
        return None if self._prepared.supports[vertex] else Reason("no_kernel")

    def _left_alone(self, vertex: int) -> Reason:
        place = self.places[vertex]
        if self._level == FORCE_ALL and not self._prepared.forceable[vertex]:
            return Reason("not_forceable")
        if place == "clear":
            spreads = self._prepared.spreads[vertex]
            return Reason("clear_alone" if spreads else "reads_variable")
        if place != "infer":
            return Reason("unlisted")
        denied = self._before(AFTER).deny
        beside = next((source for source in self._prepared.fanin[vertex] if denied[source]), None)
        allowed = self._allowed_inputs(vertex)
        if beside is not None and allowed and self._prepared.rules.infer_follows_allow:
            return Reason("beside_deny", (Way(allowed[0]), Way(beside)))
        for ways, rule in ((self._above, "nothing_below"), (self._below, "nothing_above")):
            if vertex in ways:
                return Reason(rule, (ways[vertex],))
        return Reason("infer_alone")

    def _before(self, step: int) -> Snapshot:
        return self._snapshots[step - 1]

    def _allowed_inputs(self, vertex: int) -> list[int]:
        """Direct inputs that were 16-bit when the scan came to ``vertex``."""
        before, after = (self._snapshots[step].allow for step in (AFTER - 1, AFTER))
        return [
            source
            for source in self._prepared.fanin[vertex]
            if before[source] or (after[source] and source < vertex)
        ]

    def _sharing(self, vertex: int, coloured: bytes) -> tuple[Way, ...]:
        """The first op with the same TensorList that was coloured already."""
        members = self._clusters[vertex]
        return tuple(Way(member) for member in members if coloured[member])[:1]

    @cached_property
    def _clusters(self) -> dict[int, tuple[int, ...]]:
        """All that share a TensorList, by each of them."""
        clusters = self._prepared.tensor_lists.clusters
        return {member: cluster for cluster in clusters for member in cluster}

    @cached_property
    def _merges(self) -> dict[int, tuple[int, ...]]:
        return {loop.next_iteration: loop.merges for loop in self._prepared.loops}

    @cached_property
    def _consumers(self) -> dict[int, tuple[int, ...]]:
        return dict(self._prepared.casts)

    @cached_property
    def _candidates(self) -> NDArray[np.bool_]:
        """What the step between ALLOW ops may enter."""
        undenied = np.frombuffer(self._before(BETWEEN).deny, dtype=np.uint8) == 0
        listed = np.array([place in ("infer", "clear") for place in self.places], dtype=np.bool_)
        found: NDArray[np.bool_] = self._prepared.candidate & listed & undenied
        return found

    @cached_property
    def _allow_ops(self) -> NDArray[np.int64]:
        listed = np.array([place == "allow" for place in self.places], dtype=np.bool_)
        return np.flatnonzero(listed & self._prepared.processable)

    @cached_property
    def _above(self) -> dict[int, Way]:
        """The nearest ALLOW op upstream, through what can be 16-bit."""
        return self._ways(self._allow_ops, self._prepared.fanout, self._candidates)

    @cached_property
    def _below(self) -> dict[int, Way]:
        """The nearest ALLOW op downstream."""
        return self._ways(self._allow_ops, self._prepared.fanin, self._candidates)

    @cached_property
    def _denials(self) -> dict[int, Way]:
        """The nearest DENY op upstream of what the second step denied."""
        entered = self.painting.deny == DENYING
        listed = np.array([place == "deny" for place in self.places], dtype=np.bool_)
        return self._ways(np.flatnonzero(entered & listed), self._prepared.fanout, entered)

    @cached_property
    def _connected(self) -> dict[int, Way]:
        """The nearest vertex that was 16-bit already, of those that CLEAR connects to one."""
        before, after = (
            np.frombuffer(self._snapshots[step].allow, dtype=np.uint8) != 0
            for step in (CLEARING - 1, CLEARING)
        )
        roots = np.flatnonzero(before & self._prepared.processable)
        return self._ways(roots, self._prepared.neighbours, after & ~before)

    @cached_property
    def _escapes(self) -> dict[int, Way]:
        """Where the TensorList of each data vertex leaves what can be converted."""
        vertices, nodes = self._prepared.graph.vertices, self._prepared.graph.nodes
        data = {
            vertices[member].node for one in self._prepared.tensor_lists.clusters for member in one
        }
        handles = np.array([vertex.dtype == "variant" for vertex in vertices], dtype=np.bool_)
        exits = [
            position
            for position in np.flatnonzero(handles).tolist()
            if _lets_out(nodes[vertices[position].node], is_member=vertices[position].node in data)
        ]
        ways = self._ways(exits, self._prepared.neighbours, handles)
        by_node = {vertices[handle].node: way for handle, way in ways.items()}
        unsafe = self._prepared.tensor_lists.unsafe
        return {
            vertex: by_node[vertices[vertex].node]
            for vertex in unsafe
            if vertices[vertex].node in by_node
        }

    @cached_property
    def _loop_blockers(self) -> dict[int, int]:
        """What the step of loops took back, with the Merge that made it do so."""
        allow = bytearray(self._before(LOOPS).allow)
        blockers: dict[int, int] = {}
        for loop in self._prepared.loops:
            blocker = next((merge for merge in loop.merges if not allow[merge]), None)
            if blocker is None:
                allow[loop.next_iteration] = 1
                continue
            for vertex in (*loop.merges, loop.next_iteration):
                if allow[vertex]:
                    allow[vertex] = 0
                    blockers[vertex] = blocker
        return blockers

    def _ways(
        self, roots: Iterable[int], neighbours: Network, enterable: NDArray[np.bool_]
    ) -> dict[int, Way]:
        """The nearest root of every vertex that is reached through ``enterable``."""
        free = bytearray(enterable.tobytes())
        waiting = [int(root) for root in roots]
        for root in waiting:
            free[root] = 0
        found: dict[int, Way] = {}
        for vertex in waiting:
            so_far = found.get(vertex)
            way = Way(vertex) if so_far is None else so_far.through(self.places[vertex])
            for neighbour in neighbours[vertex]:
                if free[neighbour]:
                    free[neighbour] = 0
                    found[neighbour] = way
                    waiting.append(neighbour)
        return found
