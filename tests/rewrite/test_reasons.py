"""Every colour has a rule, and the node that is named really decided."""

from __future__ import annotations

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from amp_tuner.amp.levels import effective_lists
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import PreparedGraph
from amp_tuner.rewrite.reason_words import RULES
from amp_tuner.rewrite.reasons import AFTER, Reason, Reasons, Way
from tests.rewrite import graphs, random_graphs
from tests.rewrite.painted import prepared_graph

NAMES = ("tf-cpu-bfloat16", "tf-cpu-float16", "tf-cpu-float16@2.15", "itex-cpu-bfloat16")
FP16 = rule_set("tf-cpu-float16")


def reason_of(graph_def, node, moves=None, name="tf-cpu-float16", level="default"):
    """The reason of a node's first float32 type attribute."""
    rules = rule_set(name)
    prepared = prepared_graph(graph_def, rules)
    reasons = Reasons(prepared, rules.lists.moved(moves or {}), level)
    vertex = next(
        index
        for index, vertex in enumerate(prepared.graph.vertices)
        if prepared.graph.nodes[vertex.node].name == node and prepared.float32[index]
    )
    return reasons.of(vertex)


def quantized():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.quint8, [4, 4], "x")
        y = graphs.raw.Dequantize(input=x, min_range=0.0, max_range=1.0, name="Dequantize")
        tf.identity(tf.matmul(y, graphs.matrix()), name="out")
    return graph.as_graph_def()


def one_list_denied():
    """A TensorList that holds an Exp and a product."""
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        pushed = random_graphs.OTHERS["TensorList"](tf.exp(x), tf.matmul(x, graphs.matrix()))
        tf.sqrt(pushed, name="Sqrt")
        tf.identity(graph.get_tensor_by_name("Sqrt:0"), name="out")
    return graph.as_graph_def()


def on_two_devices():
    graph_def = graphs.chain("MatMul", "Relu", "MatMul")
    for node in graph_def.node:
        if node.name == "Relu2":
            node.device = "/device:GPU:0"
    return graph_def


def two_inputs():
    """A sum of a product and of what a list that leaves the graph holds."""
    with graphs.building() as graph:
        tf.import_graph_def(graphs.list_through_function(), name="")
        product = graph.get_tensor_by_name("product:0")
        popped = next(op for op in graph.get_operations() if op.type == "TensorListPopBack")
        graphs.raw.AddV2(x=popped.outputs[1], y=product, name="Add")
    return graph.as_graph_def()


def no_kernel():
    with graphs.building() as graph:
        tf.identity(graphs.raw.Erfinv(x=graphs.matrix() @ graphs.matrix()), name="out")
    return graph.as_graph_def()


CHAIN = graphs.chain("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", "Digamma", "Relu")
LOOP = {"NextIteration": "none"}
#: Rule: a graph, a node of it that has this rule, and what else must be set.
CASES = {
    "allow": (CHAIN, "MatMul5", {}),
    "forced": (CHAIN, "Digamma8", {"level": "unsafe_force_all"}),
    "between": (graphs.chain("MatMul", "Sqrt", "MatMul"), "Sqrt2", {}),
    "after_16bit": (graphs.chain("MatMul", "Sqrt"), "Sqrt2", {}),
    "through_clear": (CHAIN, "Relu4", {}),
    "list_16bit": (graphs.tensor_lists("push"), "EmptyTensorList", {}),
    "loop_16bit": (graphs.constant_in_loop(), "while/NextIteration_1", {"moves": LOOP}),
    "absorbed": (graphs.lists_of_types(), "ToFloat", {}),
    "skipped": (graphs.chain("Exp", "Relu"), "Relu2", {"name": "itex-cpu-bfloat16"}),
    "nothing_allowed": (graphs.chain("Exp", "Relu"), "Exp1", {}),
    "kept": (CHAIN, "out", {}),
    "device": (on_two_devices(), "Relu2", {}),
    "quantized": (quantized(), "Dequantize", {"moves": {"Dequantize": "allow"}}),
    "no_type": (graphs.chain("MatMul", "SparseMatMul"), "SparseMatMul2", {}),
    "no_kernel": (no_kernel(), "Erfinv", {}),
    "not_forceable": (CHAIN, "Const", {"level": "unsafe_force_all"}),
    "deny": (CHAIN, "Exp1", {}),
    "downstream_of_deny": (CHAIN, "Sqrt3", {}),
    "list_float32": (one_list_denied(), "EmptyTensorList", {}),
    "list_escapes": (graphs.list_through_function(), "first/EmptyTensorList", {}),
    "loop_float32": (graphs.recurrent_edges(), "Merge2", {}),
    "unlisted": (CHAIN, "Digamma8", {}),
    "reads_variable": (graphs.variables(), "Read", {}),
    "clear_alone": (CHAIN, "Relu9", {}),
    "beside_deny": (two_inputs(), "Add", {}),
    "nothing_below": (CHAIN, "Log7", {}),
    "nothing_above": (graphs.chain("Sqrt", "Relu", "MatMul"), "Sqrt1", {}),
    "infer_alone": (graphs.chain("MatMul", "Digamma", "Sqrt", "Digamma"), "Sqrt3", {}),
}


def test_there_is_a_case_of_every_rule():
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", CASES)
def test_every_rule_is_found_where_it_applies(rule):
    graph_def, node, options = CASES[rule]
    assert reason_of(graph_def, node, **options).rule == rule


def walks(prepared: PreparedGraph, start: int, way: Way, through, *, forward=True, both=False):
    """Vertices at the end of walks of ``way``'s length and kinds, all of them inside ``through``.

    Args:
        prepared: the graph.
        start: where walks start.
        way: how many CLEAR and INFER nodes they pass.
        through: vertices that may be passed, with their lists.
        forward: downstream, else upstream.
        both: in any direction.
    """
    neighbours = prepared.fanout if forward else prepared.fanin
    neighbours = prepared.neighbours if both else neighbours
    states = {(start, 0, 0)}
    ends = set()
    for _ in range(way.nodes + 1):
        following = set()
        for vertex, clear, infer in states:
            for neighbour in neighbours[vertex]:
                ends |= {neighbour} if (clear, infer) == (way.clear, way.infer) else set()
                if neighbour in through:
                    place = through[neighbour]
                    following.add(
                        (neighbour, clear + (place == "clear"), infer + (place == "infer"))
                    )
        states = following
    return ends


class Checked:
    """A painted graph whose reasons are held against the graph, vertex by vertex."""

    def __init__(self, prepared, lists, level):
        self.prepared = prepared
        self.lists = effective_lists(prepared.rules, lists, level)
        self.painting = paint(prepared, lists, level)
        self.reasons = Reasons(prepared, lists, level)
        self.open = [v for v in range(prepared.vertices) if prepared.float32[v]]

    def place(self, vertex):
        return self.lists.list_of(self.node(vertex).op)

    def node(self, vertex):
        return self.prepared.graph.nodes[self.prepared.graph.vertices[vertex].node]

    def neutral(self, test):
        """CLEAR and INFER vertices that pass a test, with their lists."""
        places = {vertex: self.place(vertex) for vertex in self.open if test(vertex)}
        return {vertex: place for vertex, place in places.items() if place in ("clear", "infer")}

    def check(self, vertex):
        reason = self.reasons.of(vertex)
        getattr(self, f"check_{reason.rule}", self.check_nothing)(vertex, reason)

    def check_nothing(self, vertex: int, reason: Reason):
        assert reason.ways == ()

    def check_allow(self, vertex, reason):
        assert self.place(vertex) == "allow"
        assert self.painting.painted[vertex]

    def check_deny(self, vertex, reason):
        assert self.place(vertex) == "deny"
        assert not self.painting.painted[vertex]

    def check_downstream_of_deny(self, vertex, reason):
        (way,) = reason.ways
        assert self.place(way.vertex) == "deny"
        assert not self.painting.painted[vertex]
        denied = self.neutral(lambda v: self.painting.deny[v] and not self.painting.painted[v])
        assert vertex in walks(self.prepared, way.vertex, way, denied)

    def check_between(self, vertex, reason):
        above, below = reason.ways
        assert self.painting.painted[vertex]
        assert {self.place(way.vertex) for way in reason.ways} == {"allow"}
        able = self.neutral(lambda v: self.prepared.candidate[v] and not self.painting.deny[v])
        assert vertex in walks(self.prepared, above.vertex, above, able)
        assert vertex in walks(self.prepared, below.vertex, below, able, forward=False)

    def check_after_16bit(self, vertex, reason):
        (way,) = reason.ways
        assert self.place(vertex) == "infer"
        assert way.vertex in self.prepared.fanin[vertex]
        assert way.nodes == 0
        # 16-bit before the scan came to the vertex; a later step may have taken it back.
        step = self.painting.allow[way.vertex]
        in_same_scan = step == AFTER and way.vertex < vertex
        assert 0 < step < AFTER or in_same_scan or way.vertex in self.painting.removed
        assert not any(self.painting.deny[source] for source in self.prepared.fanin[vertex])

    def check_through_clear(self, vertex, reason):
        (way,) = reason.ways
        assert (way.infer, way.other) == (0, 0)
        assert self.place(vertex) == "clear"
        allow, removed = self.painting.allow, self.painting.removed
        assert allow[way.vertex] or way.vertex in removed
        # Loops may take back what was passed.
        passed = self.neutral(lambda v: self.place(v) == "clear" and (allow[v] or v in removed))
        assert vertex in walks(self.prepared, way.vertex, way, passed, both=True)

    def check_nothing_below(self, vertex, reason):
        (way,) = reason.ways
        assert (self.place(vertex), self.place(way.vertex)) == ("infer", "allow")
        able = self.neutral(lambda v: self.prepared.candidate[v] and not self.painting.deny[v])
        assert vertex in walks(self.prepared, way.vertex, way, able)
        assert not self.reaches_allow(vertex, able, self.prepared.fanout)

    def check_nothing_above(self, vertex, reason):
        (way,) = reason.ways
        assert (self.place(vertex), self.place(way.vertex)) == ("infer", "allow")
        able = self.neutral(lambda v: self.prepared.candidate[v] and not self.painting.deny[v])
        assert vertex in walks(self.prepared, way.vertex, way, able, forward=False)
        assert not self.reaches_allow(vertex, able, self.prepared.fanin)

    def check_infer_alone(self, vertex, reason):
        able = self.neutral(lambda v: self.prepared.candidate[v] and not self.painting.deny[v])
        assert not self.reaches_allow(vertex, able, self.prepared.fanin)
        assert not self.reaches_allow(vertex, able, self.prepared.fanout)

    def reaches_allow(self, vertex, able, neighbours):
        seen, waiting = {vertex}, [vertex]
        while waiting:
            for neighbour in neighbours[waiting.pop()]:
                if self.place(neighbour) == "allow" and self.node(neighbour).processable:
                    return True
                if neighbour in able and neighbour not in seen:
                    seen.add(neighbour)
                    waiting.append(neighbour)
        return False

    def check_clear_alone(self, vertex, reason):
        assert self.place(vertex) == "clear"
        around = self.prepared.neighbours[vertex]
        painted_late = {v for v in around if self.painting.allow[v] >= 9}
        assert not any(
            self.painting.allow[v] and v not in painted_late
            for v in around
            if self.node(v).processable
        )

    def check_beside_deny(self, vertex, reason):
        allowed, denied = (way.vertex for way in reason.ways)
        assert {allowed, denied} <= set(self.prepared.fanin[vertex])
        assert self.painting.deny[denied]
        assert self.painting.allow[allowed] or allowed in self.painting.removed

    def check_absorbed(self, vertex, reason):
        (way,) = reason.ways
        assert (self.node(vertex).op, way.nodes) == ("Cast", 0)
        assert way.vertex in self.prepared.fanout[vertex]
        assert all(self.painting.allow[reader] for reader in self.prepared.fanout[vertex])

    def check_loop_16bit(self, vertex, reason):
        (way,) = reason.ways
        assert self.node(vertex).op == "NextIteration"
        assert way.vertex in self.prepared.fanout[vertex]
        assert self.painting.painted[way.vertex]

    def check_loop_float32(self, vertex, reason):
        (way,) = reason.ways
        assert self.node(way.vertex).op == "Merge"
        assert not self.painting.painted[way.vertex]
        loops = [{loop.next_iteration, *loop.merges} for loop in self.prepared.loops]
        assert any({vertex, way.vertex} <= loop for loop in loops)

    def check_list_16bit(self, vertex, reason):
        assert self.painting.painted[self.shared(vertex, reason)]

    def check_list_float32(self, vertex, reason):
        assert not self.painting.painted[self.shared(vertex, reason)]

    def shared(self, vertex, reason):
        (way,) = reason.ways
        clusters = self.prepared.tensor_lists.clusters
        assert any({vertex, way.vertex} <= set(cluster) for cluster in clusters)
        return way.vertex

    def check_list_escapes(self, vertex, reason):
        (way,) = reason.ways
        node = self.node(way.vertex)
        assert node.boundary or not node.processable
        assert vertex in self.prepared.tensor_lists.unsafe

    def check_kept(self, vertex, reason):
        assert self.node(vertex).kept

    def check_device(self, vertex, reason):
        assert not self.node(vertex).kept
        assert not self.node(vertex).processable

    def check_no_type(self, vertex, reason):
        assert not self.prepared.type_ok[vertex]

    def check_no_kernel(self, vertex, reason):
        assert self.prepared.type_ok[vertex]
        assert not self.prepared.supports[vertex]


ALLOWING = {"allow", "forced", "between", "after_16bit", "through_clear"}
ALLOWING |= {"list_16bit", "loop_16bit", "absorbed"}


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_reasons_hold_in_any_graph_under_any_lists(data, name):
    graph_def, fetches = data.draw(random_graphs.graphs())
    rules = rule_set(name)
    prepared = prepared_graph(graph_def, rules, tuple(fetches))
    moves = data.draw(random_graphs.moves(graph_def))
    level = data.draw(st.sampled_from(rules.levels))
    try:
        checked = Checked(prepared, rules.lists.moved(moves), level)
    except RewriteError:
        reject()  # The pass fails, so there is nothing to explain.
    for vertex in checked.open:
        rule = checked.reasons.of(vertex).rule
        assert (rule in ALLOWING) == checked.painting.painted[vertex]
        checked.check(vertex)


@pytest.mark.parametrize("rule", CASES)
def test_reasons_hold_in_hand_made_graphs(rule):
    graph_def, _, options = CASES[rule]
    rules = rule_set(options.get("name", "tf-cpu-float16"))
    prepared = prepared_graph(graph_def, rules)
    lists = rules.lists.moved(options.get("moves", {}))
    checked = Checked(prepared, lists, options.get("level", "default"))
    for vertex in checked.open:
        checked.check(vertex)


def test_the_nearest_of_several_deciders_is_named():
    graph_def = graphs.chain("MatMul", "Exp", "Relu", "Expm1", "Relu", "Relu", "Sqrt")
    prepared = prepared_graph(graph_def, FP16)
    reasons = Reasons(prepared, FP16.lists)
    last = next(v for v in range(prepared.vertices) if prepared.graph.vertex_name(v) == "Sqrt7:T")
    (way,) = reasons.of(last).ways
    assert prepared.graph.vertex_name(way.vertex) == "Expm14:T"
    assert (way.clear, way.infer) == (2, 0)
