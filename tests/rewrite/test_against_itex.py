"""The engine inside an ITEX environment against ITEX's real pass, node for node."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.rules import rule_set
from tests.oracle import differences
from tests.rewrite import random_graphs
from tests.rewrite.test_against_tensorflow import CASES

pytestmark = pytest.mark.all_only
RULES = rule_set("itex-cpu-bfloat16")


def _assert_same(oracle, graph_def, fetches, moves):
    """Compares; returns how many Casts the pass inserted, None if it did not run.

    Constants are not moved: a bfloat16 Const with a float32 value aborts ITEX's next pass.
    """
    moves = {op_type: place for op_type, place in moves.items() if op_type != "Const"}
    environment = to_environment(RULES, RULES.lists.moved(moves))
    dumps = oracle.itex_pass(graph_def, environment, fetches)
    if dumps is None:
        ours = oracle.engine(graph_def, rules=RULES.name, fetches=fetches, default_device="CPU")
        assert not any("AutoMixedPrecision" in node.name for node in ours.node)
        return None
    before, theirs = dumps
    ours = oracle.engine(before, rules=RULES.name, moves=moves, fetches=fetches)
    found = differences(ours, theirs)
    assert not found, "\n".join([f"{moves} {fetches}", *found[:20]])
    return len(theirs.node) - len(before.node)


@pytest.mark.parametrize("case", CASES)
def test_default_lists_on_hand_made_graphs(itex_oracle, case):
    _assert_same(itex_oracle, CASES[case], ["out"], {})


def test_the_oracle_really_converts(itex_oracle):
    assert _assert_same(itex_oracle, CASES["convolutions"], ["out"], {}) > 4


def test_old_batch_norms_are_renewed_where_nothing_is_on_the_allow_list(itex_oracle):
    graph_def = CASES["training"]
    assert "FusedBatchNorm" in {node.op for node in graph_def.node}
    moves = dict.fromkeys(sorted(RULES.lists.allow), "infer")
    assert _assert_same(itex_oracle, graph_def, ["out"], moves) == 0


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_lists_on_hand_made_graphs(itex_oracle, data):
    graph_def = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    _assert_same(itex_oracle, graph_def, ["out"], data.draw(random_graphs.moves(graph_def)))


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_graph_and_lists(itex_oracle, data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    _assert_same(itex_oracle, graph_def, fetches, data.draw(random_graphs.moves(graph_def)))
