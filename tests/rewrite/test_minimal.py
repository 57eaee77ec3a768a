from __future__ import annotations

from itertools import combinations

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.minimal import entries, fewest_moves, least_changing_first
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.tunable import legalise
from tests.rewrite import graphs, random_graphs
from tests.rewrite.painted import prepared_graph

BF16, FP16 = rule_set("tf-cpu-bfloat16"), rule_set("tf-cpu-float16")
PAIRS_UP_TO = 10


def graph_id(prepared, moves):
    """The effective graph's id; None where the pass fails."""
    try:
        painting = paint(prepared, prepared.rules.lists.moved(moves))
    except RewriteError:
        return None
    return effective_graph(prepared, painting).graph_id


def fewest(prepared, moves):
    return fewest_moves(prepared, prepared.rules.lists, moves)


def without(moves, op_types):
    return {op_type: place for op_type, place in moves.items() if op_type not in op_types}


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rules=st.sampled_from([BF16, FP16]))
def test_the_graph_stays_and_no_move_or_pair_of_moves_can_go(data, rules):
    graph_def, fetches = data.draw(random_graphs.graphs())
    prepared = prepared_graph(graph_def, rules, tuple(fetches))
    drawn = rules.lists.moved(data.draw(random_graphs.moves(graph_def)))
    try:
        lists = legalise(prepared, drawn)
    except RewriteError:
        reject()  # a random graph that no list can make run
    moves = lists.moves_from(rules.lists)
    found = fewest(prepared, moves)
    same = graph_id(prepared, moves)
    assert graph_id(prepared, found) == same
    assert found.keys() <= moves.keys()
    assert entries(rules.lists, found) <= entries(rules.lists, moves)
    for count in (1, 2) if len(found) <= PAIRS_UP_TO else (1,):
        for op_types in combinations(found, count):
            assert graph_id(prepared, without(found, op_types)) != same
    # What is legal stays so, and what is shortest stays as it is.
    shortest = rules.lists.moved(found)
    assert legalise(prepared, shortest) == shortest
    assert fewest(prepared, found) == found


def test_moves_that_do_nothing_are_dropped():
    prepared = prepared_graph(graphs.chain("MatMul", "Relu", "MatMul", source="x"), BF16)
    # Relu is painted between two MatMuls in any list but DENY or none; Tanh is not in the graph.
    assert fewest(prepared, {"Relu": "allow", "Tanh": "allow"}) == {}


def test_moves_that_undo_each_other_go_together():
    """From CLEAR to INFER: as long as one of the two is moved, the other must be."""
    prepared = prepared_graph(graphs.chain("Tanh", "MatMul", "Floor", "Relu", "Floor"), BF16)
    moves = {"Floor": "infer", "Relu": "infer", "Tanh": "allow"}
    same = graph_id(prepared, moves)
    assert same not in {graph_id(prepared, without(moves, (op_type,))) for op_type in moves}
    assert fewest(prepared, moves) == {"Tanh": "allow"}


def test_of_two_ways_out_of_a_list_the_one_with_fewer_entries_is_taken():
    prepared = prepared_graph(graphs.chain("MatMul", "Tanh", source="x"), BF16)
    assert BF16.lists.list_of("MatMul") == "allow"
    assert fewest(prepared, {"MatMul": "deny"}) == {"MatMul": "none"}
    assert entries(BF16.lists, {"MatMul": "deny"}) == 2
    assert entries(BF16.lists, {"MatMul": "none"}) == 1


def test_moves_that_change_least_come_first():
    ops = ("Sin", "Exp", "Exp", "Exp", "Cos", "Cos")
    prepared = prepared_graph(graphs.chain(*ops, source="x"), BF16)
    moves = {"Cos": "allow", "Exp": "allow", "Sin": "allow"}
    assert least_changing_first(prepared, BF16.lists, moves) == ("Sin", "Cos", "Exp")


def test_a_move_that_the_pass_needs_comes_last():
    prepared = prepared_graph(graphs.chain("Tanh", "Exp", source="x"), BF16)
    broken = BF16.lists.moved({"Exp": "allow"})
    # Lists that a user's variables have put at odds: Tanh is in two of them until it is moved.
    default = type(broken)(
        broken.allow | {"Tanh"}, broken.deny | {"Tanh"}, broken.infer - {"Tanh"}, broken.clear
    )
    moves = {"Exp": "none", "Tanh": "allow"}
    assert least_changing_first(prepared, default, moves) == ("Exp", "Tanh")
