from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.lists import DESTINATIONS, AmpLists, is_node, is_op_type, moves_of_nodes
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError

RULES = rule_set("tf-cpu-bfloat16")
SUBJECTS = ("Mul", "Exp", "Softmax", "node:a/b", "node:a/*", "node:c")
MOVES = st.dictionaries(st.sampled_from(SUBJECTS), st.sampled_from(DESTINATIONS))


@given(MOVES)
def test_moves_of_op_types_and_nodes_are_found_again_in_the_lists(moves: dict[str, str]) -> None:
    lists = RULES.lists.moved(moves)
    found = lists.moves_from(RULES.lists)
    assert RULES.lists.moved(found) == lists
    assert moves_of_nodes(found) == moves_of_nodes(moves) == dict(lists.nodes)
    assert not lists.conflicts()
    assert AmpLists.from_json(lists.to_json()) == lists


def test_lists_without_nodes_are_written_as_passes_know_them() -> None:
    assert list(RULES.lists.to_json()) == ["allow", "deny", "infer", "clear"]


@pytest.mark.parametrize("name", ["node:a/b_1.c-d", "node:*", "node:layer_3/*", "node:.x>y"])
def test_nodes_are_no_op_types(name: str) -> None:
    assert is_node(name)
    assert not is_op_type(name)


@pytest.mark.parametrize("name", ["a/b", "node:", "node:/a", "node:a b", "node:a\n", "node:$(x)"])
def test_what_no_node_can_be_called_is_none(name: str) -> None:
    assert not is_node(name)


def test_no_variable_moves_a_node() -> None:
    with pytest.raises(RewriteError, match="node:a/b moves a node, which no variable can"):
        to_environment(RULES, RULES.lists.moved({"Mul": "allow", "node:a/b": "none"}))
