"""Long rounds against the real passes: 2,000 generated cases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.rules import rule_set
from tests.rewrite import random_graphs
from tests.rewrite.conformance_graphs import CONFORMANCE
from tests.rewrite.test_against_tensorflow import CASES, CPU_RULES, assert_same

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(4 * 3600)]
ALL_CASES = {**CASES, **CONFORMANCE}


def _many(max_examples):
    return settings(max_examples=max_examples, suppress_health_check=list(HealthCheck))


@_many(1000)
@given(data=st.data())
def test_any_graph_lists_and_level(cpu_oracle, data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    name = data.draw(st.sampled_from(CPU_RULES))
    level = data.draw(st.sampled_from(rule_set(name).levels))
    moves = data.draw(random_graphs.moves(graph_def)) if data.draw(st.booleans()) else {}
    assert_same(cpu_oracle, graph_def, name, fetches, moves, level)


@_many(600)
@given(data=st.data())
def test_any_lists_and_level_on_hand_made_graphs(cpu_oracle, data):
    graph_def = ALL_CASES[data.draw(st.sampled_from(sorted(ALL_CASES)))]
    name = data.draw(st.sampled_from(CPU_RULES))
    level = data.draw(st.sampled_from(rule_set(name).levels))
    assert_same(
        cpu_oracle, graph_def, name, ["out"], data.draw(random_graphs.moves(graph_def)), level
    )


@_many(400)
@given(data=st.data())
def test_any_graph_and_lists_for_cuda(cuda_oracle, data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    moves = data.draw(random_graphs.moves(graph_def))
    assert_same(cuda_oracle, graph_def, "tf-cuda-float16", fetches, moves)
