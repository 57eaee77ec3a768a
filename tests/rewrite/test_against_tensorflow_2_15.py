"""``amp_tuner.tf.rewrite`` inside TensorFlow 2.15 against that version's real passes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_tuner.amp.lists import LIST_NAMES
from amp_tuner.amp.rules import rule_set
from tests.oracle import PREFIX, differences
from tests.rewrite import random_graphs
from tests.rewrite.test_against_tensorflow import CASES

pytestmark = pytest.mark.all_only
RULES = ("tf-cpu-bfloat16@2.15", "tf-cpu-float16@2.15")


def _assert_same(oracle, graph_def, name, fetches, moves, level="default"):
    rules = rule_set(name)
    theirs = oracle.real_pass(graph_def, rules, rules.lists.moved(moves), level, fetches)
    ours = oracle.engine(graph_def, rules=name, moves=moves, fetches=fetches, level=level)
    found = differences(ours, theirs)
    assert not found, "\n".join([f"{name} {level} {moves} {fetches}", *found[:20]])


def test_it_is_that_version_with_nothing_of_the_tuners(older_oracle):
    assert older_oracle.tensorflow.startswith("2.15.")
    assert older_oracle.tuner_packages == []


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("case", CASES)
def test_default_lists_on_hand_made_graphs(older_oracle, case, name):
    _assert_same(older_oracle, CASES[case], name, ["out"], {})


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_lists_and_level_on_hand_made_graphs(older_oracle, data):
    graph_def = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    name = data.draw(st.sampled_from(RULES))
    level = data.draw(st.sampled_from(rule_set(name).levels))
    _assert_same(
        older_oracle, graph_def, name, ["out"], data.draw(random_graphs.moves(graph_def)), level
    )


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_graph_and_lists(older_oracle, data):
    graph_def, fetches = data.draw(random_graphs.graphs())
    name = data.draw(st.sampled_from(RULES))
    moves = data.draw(random_graphs.moves(graph_def)) if data.draw(st.booleans()) else {}
    _assert_same(older_oracle, graph_def, name, fetches, moves)


@pytest.mark.parametrize("name", RULES)
def test_shipped_default_lists_are_those_that_the_pass_logs(older_oracle, tmp_path, name):
    rules = rule_set(name)
    environment = {PREFIX + "LOG_PATH": str(tmp_path)}
    older_oracle.real_pass_with(CASES["convolutions"], rules, environment, ["out"])
    (log,) = tmp_path.glob("paintbuckets_*.txt")
    sections = [section.split() for section in log.read_text().split("\n\n")]
    logged = {head.removesuffix("List:").lower(): set(ops) for head, *ops in sections}
    assert logged == {name: getattr(rules.lists, name) for name in LIST_NAMES}
