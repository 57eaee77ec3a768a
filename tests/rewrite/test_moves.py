from __future__ import annotations

import json

import pytest
import tensorflow as tf

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.moves import single_moves
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.shapes import with_shapes
from tests.rewrite import graphs

RULES = rule_set("tf-cpu-bfloat16")


def prepared_graph(graph_def, rules=RULES):
    graph = describe(graph_def, rules, ["out", "x"], rules.device_type)
    return prepare(with_shapes(graph, graph_def, 1), rules)


def moves_of(graph_def, rules=RULES, moves=None):
    prepared = prepared_graph(graph_def, rules)
    found = single_moves(prepared, rules.lists.moved(moves or {}))
    return found, {move: group.change for group in found.groups for move in group.moves}


CHAIN = graphs.chain("MatMul", "Exp", "MatMul", source="x")


def test_a_move_that_saves_casts_says_which_and_how_much():
    found, by_move = moves_of(CHAIN)
    change = by_move["Exp", "allow"]
    assert (change.gained, change.lost) == ({"Exp": 1}, {})
    # Before and after the Exp, two matrices of 16 numbers.
    assert (change.casts, change.casts_per_run, change.bytes_per_run) == (-2, -2, -2 * 16 * 6)
    assert change.cannot_run == ()
    assert found.groups[0].change == change


def test_moves_with_the_same_outcome_are_one_group():
    found, _ = moves_of(CHAIN)
    assert found.groups[0].moves == (("Exp", "allow"), ("Exp", "infer"), ("Exp", "clear"))


def test_a_move_that_takes_16_bits_away_says_so():
    _, by_move = moves_of(CHAIN)
    change = by_move["MatMul", "none"]
    assert (change.gained, change.lost) == ({}, {"MatMul": 2})
    # The input, what is around the Exp, what comes out; both weights.
    assert (change.casts, change.casts_per_run) == (-6, -4)


def test_what_cannot_run_comes_last_and_names_the_op_type():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        y = graphs.raw.Erfinv(x=tf.matmul(x, graphs.matrix()))
        tf.identity(graphs.raw.Exp(x=y), name="out")
    found, by_move = moves_of(graph.as_graph_def())
    assert by_move["Erfinv", "allow"].cannot_run == ("Erfinv",)
    assert found.groups[-1].change.cannot_run


def test_moves_into_16_bits_come_first_and_each_kind_by_what_it_saves():
    found, _ = moves_of(graphs.conv_net(), rule_set("tf-cpu-float16"))
    ranks = [
        (
            bool(one.change.cannot_run),
            not one.change.is_running,
            one.change.balance < 0,
            one.change.bytes_per_run,
        )
        for one in found.groups
    ]
    assert ranks == sorted(ranks)
    assert ranks[0][:3] == (False, False, False)
    assert (False, False, True) in [rank[:3] for rank in ranks]


def test_what_only_changes_constants_says_so():
    with graphs.building() as graph:
        x = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        tf.matmul(x, graphs.raw.Square(x=graphs.matrix()), name="product")
        tf.identity(graph.get_tensor_by_name("product:0"), name="out")
    _, by_move = moves_of(graph.as_graph_def())
    change = by_move["Square", "allow"]
    assert (change.gained, change.constants, change.is_running) == ({}, 1, False)


@pytest.mark.parametrize("make", [graphs.conv_net, graphs.while_loop, graphs.lists_of_types])
def test_every_move_is_there_or_changes_nothing(make):
    graph_def = make()
    prepared = prepared_graph(graph_def)
    found, by_move = moves_of(graph_def)
    before = effective_graph(prepared, paint(prepared, RULES.lists))
    read = {edge.target for edge in prepared.graph.edges}
    ops = {prepared.graph.nodes[prepared.graph.vertices[vertex].node].op for vertex in read}
    idle = 0
    for op in sorted(ops):
        for place in DESTINATIONS:
            painting = paint(prepared, RULES.lists.moved({op: place}))
            after = effective_graph(prepared, painting)
            if after.graph_id == before.graph_id:
                assert (op, place) not in by_move
                idle += place != RULES.lists.list_of(op)
            else:
                change = by_move[op, place]
                assert change.casts == after.casts - before.casts
    assert (found.idle, found.tried) == (idle, 4 * len(ops))


def test_moves_start_from_the_given_lists():
    _, by_move = moves_of(CHAIN, moves={"Exp": "allow"})
    assert by_move["Exp", "deny"].lost == {"Exp": 1}
    assert ("Exp", "infer") not in by_move


def test_moves_are_json():
    found, _ = moves_of(CHAIN)
    assert json.loads(json.dumps(found.to_json()))["groups"][0]["moves"][0] == ["Exp", "allow"]
