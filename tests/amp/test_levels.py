from __future__ import annotations

import pytest

from amp_tuner.amp.levels import effective_lists
from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import RewriteError

FP16 = rule_set("tf-cpu-float16")
BF16 = rule_set("tf-cpu-bfloat16")


def test_treat_infer_as_deny_merges_the_lists():
    lists = effective_lists(FP16, FP16.lists, "treat_infer_as_deny")
    assert lists.infer == frozenset()
    assert lists.deny == FP16.lists.deny | FP16.lists.infer


def test_tensor_cores_only_leaves_allow_alone():
    assert effective_lists(FP16, FP16.lists, "tensor_cores_only") == AmpLists(FP16.lists.allow)


def test_tensor_cores_only_does_nothing_in_the_bfloat16_mode():
    assert effective_lists(BF16, BF16.lists, "tensor_cores_only") == BF16.lists


def test_force_all_makes_the_bfloat16_pass_fail():
    with pytest.raises(RewriteError, match="fails with level unsafe_force_all"):
        effective_lists(BF16, BF16.lists, "unsafe_force_all")


def test_an_op_in_two_lists_fails():
    lists = AmpLists(allow=frozenset({"A", ""}), deny=frozenset({"A", ""}))
    with pytest.raises(RewriteError, match="'', 'A'"):
        effective_lists(BF16, lists, "default")


def test_infer_and_deny_may_overlap_when_infer_is_treated_as_deny():
    lists = AmpLists(infer=frozenset({"A"}), deny=frozenset({"A"}))
    assert effective_lists(BF16, lists, "treat_infer_as_deny").deny == {"A"}


def test_an_unknown_level_is_named_with_the_allowed_ones():
    with pytest.raises(RewriteError, match="allowed: default, treat_infer_as_deny"):
        effective_lists(BF16, BF16.lists, "fast")


def test_a_level_moves_nodes_as_it_moves_op_types():
    nodes = {"node:a": "allow", "node:d": "deny", "node:i": "infer", "node:c": "clear"}
    lists = FP16.lists.moved(nodes)
    denied = effective_lists(FP16, lists, "treat_infer_as_deny").nodes
    assert denied == {**nodes, "node:i": "deny"}
    allowed = effective_lists(FP16, lists, "tensor_cores_only").nodes
    assert allowed == {**dict.fromkeys(nodes, "none"), "node:a": "allow"}
